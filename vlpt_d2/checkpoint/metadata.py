"""What a trunk's weights do not tell: stride, channel order, normalisation.

A trunk with another stride or other pixels has the same shapes and loads without complaint, but
computes something else. So every checkpoint records them and loading compares.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from detectron2.config import CfgNode

__all__ = [
    "BATCH_NORMS",
    "PIXEL_ENTRIES",
    "TRUNK_ENTRIES",
    "describe_trunk",
    "describe_weights",
    "trunk_mismatches",
]

# The config key that decides each entry.
_KEYS = {
    "variant": "MODEL.RESNETS.VARIANT",
    "depth": "MODEL.RESNETS.DEPTH",
    "stem_out_channels": "MODEL.RESNETS.STEM_OUT_CHANNELS",
    "res2_out_channels": "MODEL.RESNETS.RES2_OUT_CHANNELS",
    "num_groups": "MODEL.RESNETS.NUM_GROUPS",
    "width_per_group": "MODEL.RESNETS.WIDTH_PER_GROUP",
    "stride_in_1x1": "MODEL.RESNETS.STRIDE_IN_1X1",
    "norm": "MODEL.RESNETS.NORM",
    "input_format": "INPUT.FORMAT",
    "pixel_mean": "MODEL.PIXEL_MEAN",
    "pixel_std": "MODEL.PIXEL_STD",
}

#: What a complete description has.
TRUNK_ENTRIES = tuple(_KEYS)
#: Those that say what the trunk was shown.
PIXEL_ENTRIES = ("input_format", "pixel_mean", "pixel_std")

# In place of keys that detectron2's own configs lack.
_DEFAULTS = {"MODEL.RESNETS.VARIANT": "plain"}

#: All keep the same four tensors and, in eval mode, compute the same.
BATCH_NORMS = {"BN", "SyncBN", "nnSyncBN", "naiveSyncBN", "naiveSyncBN_N", "FrozenBN"}

# Depth by the blocks of each stage and whether they are bottlenecks.
_DEPTHS: dict[tuple[tuple[int, ...], bool], int] = {
    ((2, 2, 2, 2), False): 18,
    ((3, 4, 6, 3), False): 34,
    ((3, 4, 6, 3), True): 50,
    ((3, 4, 23, 3), True): 101,
    ((3, 8, 36, 3), True): 152,
}


def describe_trunk(cfg: CfgNode) -> dict[str, Any]:
    """Collect what a trunk's file records, as plain values.

    Args:
        cfg: reads MODEL.RESNETS, MODEL.PIXEL_MEAN, MODEL.PIXEL_STD and INPUT.FORMAT.
    """
    return {entry: _plain(_get(cfg, key)) for entry, key in _KEYS.items()}


def describe_weights(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Collect what the names and shapes of a trunk show, as entries of :func:`describe_trunk`.

    Args:
        tensors: named as detectron2's ResNet, without a prefix.

    Returns:
        The entries that follow from them; a depth that no ResNet of detectron2 has is left out.
    """
    blocks = [
        len({match[1] for key in tensors if (match := re.match(rf"res{stage}\.(\d+)\.", key))})
        for stage in range(2, 6)
    ]
    norm = {"norm": "BN"} if "stem.conv1.norm.running_mean" in tensors else {}
    if "stem.conv5.weight" in tensors:
        return {
            "variant": "lcnet",
            "depth": sum(blocks),
            "stem_out_channels": tensors["stem.conv5.weight"].shape[0],
            "res2_out_channels": tensors["res2.0.project.weight"].shape[0],
            "num_groups": 1,
            **norm,
        }
    bottleneck = "res2.0.conv3.weight" in tensors
    last = "conv3" if bottleneck else "conv2"
    groups = (
        tensors["res2.0.conv1.weight"].shape[0] // tensors["res2.0.conv2.weight"].shape[1]
        if bottleneck
        else 1
    )
    stem = "conv3" if "stem.conv3.weight" in tensors else "conv1"
    return {
        "variant": "clip" if stem == "conv3" else "plain",
        **({"depth": d} if (d := _DEPTHS.get((tuple(blocks), bottleneck))) else {}),
        "stem_out_channels": tensors[f"stem.{stem}.weight"].shape[0],
        "res2_out_channels": tensors[f"res2.0.{last}.weight"].shape[0],
        "num_groups": groups,
        # Of blocks without a bottleneck nothing shows it.
        **(
            {"width_per_group": tensors["res2.0.conv2.weight"].shape[0] // groups}
            if bottleneck
            else {}
        ),
        **norm,
    }


def trunk_mismatches(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """One sentence for each difference of a file's trunk from a config's, naming the key to set.

    Args:
        recorded: of the file; entries it lacks are not compared.
        wanted: :func:`describe_trunk` of the config.
    """
    faults = []
    for entry, key in _KEYS.items():
        if entry not in recorded or _equal(entry, recorded[entry], wanted[entry]):
            continue
        ours, theirs = ("''" if x == "" else x for x in (wanted[entry], recorded[entry]))
        faults.append(f"{key} is {ours}, the file's trunk has {theirs}")
    return faults


def _equal(entry: str, a: Any, b: Any) -> bool:
    if entry == "norm":
        return a == b or {a, b} <= BATCH_NORMS
    if entry in ("pixel_mean", "pixel_std"):
        # [103.53] and [103.530] are the same; 0.1 of 255 changes nothing.
        return len(a) == len(b) and all(abs(x - y) <= 0.1 for x, y in zip(a, b))
    return a == b


def _get(cfg: CfgNode, key: str) -> Any:
    for name in key.split("."):
        if key in _DEFAULTS and name not in cfg:
            return _DEFAULTS[key]
        cfg = cfg[name]
    return cfg


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [float(v) for v in value]
    return value
