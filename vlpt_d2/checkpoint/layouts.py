"""Names of ResNet weights in other projects' files, and in ours.

Ours are those of detectron2's ``ResNet`` below ``backbone.bottom_up.``.
"""

import re

import torch
from detectron2.checkpoint.c2_model_loading import convert_c2_detectron_names

__all__ = ["TRUNK_PREFIX", "trunk_layout"]

TRUNK_PREFIX = "backbone.bottom_up."

# Of torchvision.models.resnet: conv1, bn1, layer1.0.conv1, layer1.0.bn1, layer1.0.downsample.0
_TORCHVISION_BLOCK = re.compile(r"layer([1-4])\.(\d+)\.(conv|bn|downsample\.)(\d)\.(\w+)")
_DETECTRON2 = re.compile(r"^(?:(?:.*\.)?(?:bottom_up|backbone|module)\.)?((?:stem|res[2-5])\..*)")


def trunk_layout(weights: dict[str, torch.Tensor]) -> tuple[str, dict[str, str]] | None:
    """Recognise a file's naming of a ResNet.

    Args:
        weights: as read from the file.

    Returns:
        What the naming is called, and for each tensor of the trunk our name and the file's. None
        where there is no ResNet in it that we know.
    """
    if any(key.startswith(TRUNK_PREFIX + "stem.") for key in weights):
        return "vlpt_d2", {k: k for k in weights if k.startswith(TRUNK_PREFIX)}
    if "layer1.0.conv1.weight" in weights and "conv1.weight" in weights:
        names = {_torchvision_name(key): key for key in weights}
        return "torchvision", {TRUNK_PREFIX + k: v for k, v in names.items() if k is not None}
    if "conv1_w" in weights or "res2_0_branch2a_w" in weights:
        # Caffe2's, as in detectron2's ImageNetPretrained/MSRA files; detectron2 knows them.
        plain = {k: v for k, v in weights.items() if not k.endswith("_momentum")}
        _, names = convert_c2_detectron_names(plain)
        return "Caffe2", {TRUNK_PREFIX + k: v for k, v in names.items() if _DETECTRON2.match(k)}
    matches = {m[1]: key for key in weights if (m := _DETECTRON2.match(key))}
    if any(name.startswith("res2.0.conv1") for name in matches):
        return "detectron2", {TRUNK_PREFIX + name: key for name, key in matches.items()}
    return None


def _torchvision_name(key: str) -> str | None:
    """Our name of a tensor of torchvision's ResNet; None for its classifier."""
    if key.startswith("conv1."):
        return f"stem.{key}"
    if key.startswith("bn1."):
        return f"stem.conv1.norm.{key.removeprefix('bn1.')}"
    if not (match := _TORCHVISION_BLOCK.fullmatch(key)):
        return None
    layer, block, kind, number, leaf = match.groups()
    if kind == "downsample.":
        module = "shortcut" if number == "0" else "shortcut.norm"
    else:
        module = f"conv{number}" if kind == "conv" else f"conv{number}.norm"
    return f"res{int(layer) + 1}.{block}.{module}.{leaf}"
