"""The trunk in the names of other projects, where their models compute the same with it."""

from collections.abc import Mapping
from typing import Any

import torch

from .errors import CheckpointError
from .foreign_names import foreign_name, weighs_taps
from .metadata import BATCH_NORMS
from .resnet_formats import TRUNK_PREFIX

__all__ = ["EXPORT_LAYOUTS", "rename_trunk"]

EXPORT_LAYOUTS = ("vlpt_d2", "torchvision", "mmocr", "detectron2", "clip")

_OFFSET = ".conv2.offset."


def rename_trunk(
    tensors: Mapping[str, torch.Tensor], trunk: Mapping[str, Any], layout: str
) -> dict[str, torch.Tensor]:
    """Give a trunk's tensors the names of a project.

    Args:
        tensors: named as detectron2's ResNet, without a prefix.
        trunk: its description.
        layout: one of :data:`EXPORT_LAYOUTS`: "torchvision" (timm's resnet50 reads it too),
            "mmocr" (MMDetection's and MMOCR's backbones), "detectron2" (only its ResNet), "clip"
            (the image side of CLIP or oCLIP, without the attention pool), or our own.

    Raises:
        CheckpointError: the project has no model that computes what the trunk does.
    """
    if layout not in EXPORT_LAYOUTS:
        raise CheckpointError(f"no layout {layout!r}; there are {', '.join(EXPORT_LAYOUTS)}")
    if layout == "vlpt_d2":
        return {TRUNK_PREFIX + name: tensor for name, tensor in tensors.items()}
    if reason := _refusal(tensors, trunk, layout):
        raise CheckpointError(reason)
    clip = "stem.conv3.weight" in tensors
    # Their taps are weighted by sigmoid(m), ours by 2 sigmoid(m).
    doubled = {
        name.replace(f"{_OFFSET}weight", ".conv2.weight")
        for name, tensor in tensors.items()
        if name.endswith(f"{_OFFSET}weight") and weighs_taps(name, tensor)
    }
    return {
        _name(name, layout, clip): tensor * 2 if name in doubled else tensor
        for name, tensor in tensors.items()
    }


def _refusal(
    tensors: Mapping[str, torch.Tensor], trunk: Mapping[str, Any], layout: str
) -> str | None:
    if trunk.get("variant") == "lcnet":
        return f"{layout} has no PP-LCNetV4 (MODEL.RESNETS.VARIANT lcnet); write vlpt_d2"
    clip = "stem.conv3.weight" in tensors
    if clip and layout in ("torchvision", "detectron2"):
        return f"{layout} has no ResNet with CLIP's stem and average pools; write mmocr or clip"
    if layout == "clip" and not clip:
        return "the trunk has no stem of CLIP's (MODEL.RESNETS.VARIANT clip)"
    if layout != "detectron2" and trunk.get("norm", "BN") not in BATCH_NORMS:
        return (
            f"the trunk's norm is {trunk['norm'] or 'none'} (MODEL.RESNETS.NORM), that of {layout} "
            "a batch norm; write vlpt_d2 or detectron2"
        )
    if layout == "torchvision" and trunk.get("stride_in_1x1"):
        return (
            "the trunk has its strides in the 1x1 convolutions (MODEL.RESNETS.STRIDE_IN_1X1), "
            "torchvision's in the 3x3 ones; write detectron2, or mmocr for its style 'caffe'"
        )
    if layout in ("torchvision", "clip") and any(_OFFSET in name for name in tensors):
        return f"the trunk has deformable convolutions; the ResNets of {layout} have none"
    return None


def _name(name: str, layout: str, clip: bool) -> str:
    if layout == "detectron2":
        return name.replace(_OFFSET, ".conv2_offset.")
    if layout == "clip":
        return f"visual.{foreign_name(name, 'clip')}"
    if layout == "mmocr" and clip:
        return foreign_name(name, "openmmlab")
    return foreign_name(name, "torchvision")
