"""Trunk files: the ResNet of a checkpoint, with what must be known to use it."""

import json
import os
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import save_file

from .errors import CheckpointError
from .files import read_checkpoint
from .layouts import trunk_layout

__all__ = ["extract_trunk", "save_trunk"]


def save_trunk(weights: Mapping[str, torch.Tensor], trunk: Mapping[str, Any], path: str) -> int:
    """Write the ResNet of a model as a trunk file.

    Its names are ``backbone.bottom_up.*``, so that it loads by plain names into this project's
    models and into detectron2's own with an FPN (RetinaNet, Mask R-CNN …). Files in safetensors'
    format are read by this project only.

    Args:
        weights: of a model, a trunk, or a ResNet of detectron2 or torchvision.
        trunk: its description, see :func:`~vlpt_d2.checkpoint.metadata.describe_trunk`.
        path: ends in ".pth" or ".safetensors".

    Returns:
        The number of tensors written.

    Raises:
        CheckpointError: there is no ResNet in the weights, or the path has another suffix.
    """
    layout = trunk_layout(dict(weights))
    if layout is None:
        raise CheckpointError("there is no ResNet among the weights")
    tensors = {
        key: weights[name].detach().cpu().contiguous().clone()
        for key, name in layout[1].items()
        if not key.endswith("num_batches_tracked")
    }
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    if path.endswith(".safetensors"):
        save_file(tensors, path, metadata={"trunk": json.dumps(dict(trunk))})
    elif path.endswith(".pth"):
        torch.save({"model": tensors, "trunk": dict(trunk), "__author__": "vlpt_d2"}, path)
    else:
        raise CheckpointError(f"{path}: a trunk file ends in .pth or .safetensors")
    return len(tensors)


def extract_trunk(
    checkpoint: str, path: str, trunk: Mapping[str, Any] | None = None
) -> tuple[int, dict[str, Any]]:
    """Write the trunk of a checkpoint file to a trunk file.

    Args:
        checkpoint: any file that :func:`~vlpt_d2.checkpoint.files.read_checkpoint` reads.
        path: ends in ".pth" or ".safetensors".
        trunk: describes the trunk where the checkpoint does not.

    Returns:
        The number of tensors, and the trunk's description.

    Raises:
        CheckpointError: there is no trunk, or nothing describes it.
    """
    content = read_checkpoint(checkpoint)
    described = content.get("trunk") or trunk
    if described is None:
        raise CheckpointError(
            f"{checkpoint} does not record how its trunk was trained; name the config it was "
            "trained with"
        )
    return save_trunk(content["model"], described, path), dict(described)
