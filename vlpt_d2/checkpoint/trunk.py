"""Trunk files: the ResNet of a checkpoint, with what must be known to use it."""

import json
import logging
import os
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import save_file

from .errors import CheckpointError
from .files import read_checkpoint
from .metadata import PIXEL_ENTRIES, describe_weights, trunk_mismatches
from .renaming import EXPORT_LAYOUTS, rename_trunk
from .resnet_formats import TRUNK_PREFIX, trunk_layout

__all__ = ["EXPORT_LAYOUTS", "check_trunk_path", "extract_trunk", "save_trunk"]

logger = logging.getLogger(__name__)


def check_trunk_path(path: str) -> None:
    """Check that a path names a trunk file.

    Raises:
        CheckpointError: it has another suffix.
    """
    if not path.endswith((".pth", ".safetensors")):
        raise CheckpointError(f"{path}: a trunk file ends in .pth or .safetensors")


def save_trunk(
    weights: Mapping[str, torch.Tensor],
    trunk: Mapping[str, Any],
    path: str,
    layout: str = "vlpt_d2",
) -> int:
    """Write the ResNet of a model as a trunk file.

    With our own names, ``backbone.bottom_up.*``, it loads by plain names into this project's
    models and into detectron2's own with an FPN (RetinaNet, Mask R-CNN …). Files in safetensors'
    format hold the description too; of those in other projects' names, ``.pth`` is their bare
    state dict.

    Args:
        weights: of a model, a trunk, or any layout of docs/checkpoints.md.
        trunk: its description, see :func:`~vlpt_d2.checkpoint.metadata.describe_trunk`.
        path: ends in ".pth" or ".safetensors".
        layout: one of :data:`EXPORT_LAYOUTS`: whose names the file gets.

    Returns:
        The number of tensors written.

    Raises:
        CheckpointError: there is no ResNet in the weights, that project's models would not compute
            what it does, or the path has another suffix.
    """
    check_trunk_path(path)
    found = trunk_layout(dict(weights))
    if found is None:
        raise CheckpointError("there is no ResNet among the weights")
    tensors = {
        key.removeprefix(TRUNK_PREFIX): _plain(tensor)
        for key, tensor in found.tensors(dict(weights)).items()
        if not key.endswith("num_batches_tracked")
    }
    tensors = rename_trunk(tensors, trunk, layout)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    if path.endswith(".safetensors"):
        save_file(tensors, path, metadata={"trunk": json.dumps(dict(trunk))})
    elif layout in ("vlpt_d2", "detectron2"):
        content = {"model": tensors, "trunk": dict(trunk), "__author__": "vlpt_d2"}
        # Lets detectron2 find its names below any prefix.
        extra = {"matching_heuristics": True} if layout == "detectron2" else {}
        torch.save({**content, **extra}, path)
    else:
        torch.save(tensors, path)
    return len(tensors)


def extract_trunk(
    checkpoint: str,
    path: str,
    trunk: Mapping[str, Any] | None = None,
    layout: str = "vlpt_d2",
) -> tuple[int, dict[str, Any]]:
    """Write the trunk of a checkpoint file to a trunk file.

    Args:
        checkpoint: any file that :func:`~vlpt_d2.checkpoint.files.read_checkpoint` reads.
        path: ends in ".pth" or ".safetensors".
        trunk: describes the trunk where the checkpoint does not; of one that does, it may change
            channel order and pixels.
        layout: one of :data:`EXPORT_LAYOUTS`.

    Returns:
        The number of tensors, and the trunk's description: ``trunk``, else what the file records,
        else what is known of files with its names; pixels may be missing then.

    Raises:
        CheckpointError: there is no trunk, nothing describes it, ``trunk`` describes another one,
            or see :func:`save_trunk`.
    """
    content = read_checkpoint(checkpoint)
    found = trunk_layout(content["model"])
    if found is None:
        raise CheckpointError(f"{checkpoint}: there is no ResNet among the weights")
    logger.info("%s: a ResNet with the names of %s", checkpoint, found.kind)
    if found.caution:
        logger.warning("%s", found.caution)
    tensors = found.tensors(content["model"])
    shown = describe_weights({k.removeprefix(TRUNK_PREFIX): v for k, v in tensors.items()})
    described = content.get("trunk")
    if trunk is not None:
        fixed = {k: v for k, v in (described or {}).items() if k not in PIXEL_ENTRIES}
        _compare(checkpoint, shown | fixed, trunk)
        if changes := trunk_mismatches(described or {}, trunk):
            logger.info("%s has a new description: %s", checkpoint, "; ".join(changes))
        described = trunk
    if described is None and "stride_in_1x1" in found.recorded:
        described = shown | found.recorded
    if described is None:
        raise CheckpointError(
            f"{checkpoint} does not record how its trunk was trained; name the config it was "
            "trained with"
        )
    return save_trunk(content["model"], described, path, layout), dict(described)


def _compare(checkpoint: str, shown: dict[str, Any], trunk: Mapping[str, Any]) -> None:
    """Refuse a description that the weights contradict."""
    if faults := trunk_mismatches({k: v for k, v in shown.items() if k in trunk}, trunk):
        raise CheckpointError(
            f"{checkpoint} is not what the config describes: {'; '.join(faults)}. Name the config "
            "it was trained with"
        )


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """A copy of its own; weights published in 16 bits become 32."""
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        tensor = tensor.float()
    return tensor.contiguous().clone()
