"""What a trunk's weights do not tell: stride, channel order, normalisation.

A trunk with another stride or other pixels has the same shapes and loads without complaint, but
computes something else. So every checkpoint records them and loading compares.
"""

from collections.abc import Mapping
from typing import Any

from detectron2.config import CfgNode

__all__ = ["TORCHVISION_TRUNK", "describe_trunk", "trunk_mismatches"]

# The config key that decides each entry.
_KEYS = {
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

# All keep the same four tensors and, in eval mode, compute the same.
_BATCH_NORMS = {"BN", "SyncBN", "nnSyncBN", "naiveSyncBN", "naiveSyncBN_N", "FrozenBN"}

# ResNets of torchvision (models/resnet.py: "this variant is also known as ResNet V1.5").
TORCHVISION_TRUNK = {"stride_in_1x1": False}


def describe_trunk(cfg: CfgNode) -> dict[str, Any]:
    """Collect what a trunk's file records, as plain values.

    Args:
        cfg: reads MODEL.RESNETS, MODEL.PIXEL_MEAN, MODEL.PIXEL_STD and INPUT.FORMAT.
    """
    return {entry: _plain(_get(cfg, key)) for entry, key in _KEYS.items()}


def trunk_mismatches(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Say in words where a file's trunk differs from a config's.

    Args:
        recorded: of the file; entries it lacks are not compared.
        wanted: :func:`describe_trunk` of the config.

    Returns:
        One sentence for each difference, naming the key to set.
    """
    faults = []
    for entry, key in _KEYS.items():
        if entry not in recorded or _equal(entry, recorded[entry], wanted[entry]):
            continue
        faults.append(f"{key} is {wanted[entry]}, the file's trunk has {recorded[entry]}")
    return faults


def _equal(entry: str, a: Any, b: Any) -> bool:
    if entry == "norm":
        return a == b or {a, b} <= _BATCH_NORMS
    if entry in ("pixel_mean", "pixel_std"):
        # [103.53] and [103.530] are the same; 0.1 of 255 changes nothing.
        return len(a) == len(b) and all(abs(x - y) <= 0.1 for x, y in zip(a, b))
    return a == b


def _get(cfg: CfgNode, key: str) -> Any:
    for name in key.split("."):
        cfg = cfg[name]
    return cfg


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [float(v) for v in value]
    return value
