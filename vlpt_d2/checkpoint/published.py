"""Weights as they are given to others: 16 bits, without the state of a training."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from ..utils.atomic import replacing
from .errors import CheckpointError

__all__ = ["save_weights"]


def save_weights(
    weights: Mapping[str, torch.Tensor],
    trunk: Mapping[str, Any],
    path: str | Path,
    base: str = "",
) -> bytes:
    """Write a model's weights in 16 bits as a ``.safetensors`` file, as the model zoo has them.

    Args:
        weights: of the whole model, or those that ``base`` lacks.
        trunk: its trunk's description, see :func:`~vlpt_d2.checkpoint.metadata.describe_trunk`.
        base: the model of the zoo, as "vlpt://NAME", that has the others; "" for none.

    Raises:
        CheckpointError: a value is too large for 16 bits.
    """
    halved = {}
    for name, value in weights.items():
        if name.endswith("num_batches_tracked"):
            continue
        half = value.detach().cpu()
        half = half.half() if half.is_floating_point() else half
        if half.is_floating_point() and not half.isfinite().all():
            raise CheckpointError(f"{name} has values that 16 bits cannot hold")
        halved[name] = half.contiguous()
    metadata = {"trunk": json.dumps(dict(trunk))}
    content = save(halved, metadata | ({"base": base} if base else {}))
    with replacing(path) as file:
        file.write(content)
    return content
