"""Batch norms folded into the convolutions before them, for inference."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.layers import FrozenBatchNorm2d
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

__all__ = ["fuse_norms"]

_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, FrozenBatchNorm2d)
_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def fuse_norms(model: nn.Module) -> None:
    """Fold the batch norms of a model in eval mode into its convolutions, in place.

    Those are folded that detectron2's convolutions hold as ``norm``, and those that follow a
    convolution in an ``nn.Sequential``. Other norms stay as they are.
    """
    for module in list(model.modules()):
        norm = getattr(module, "norm", None)
        if isinstance(module, _CONVOLUTIONS) and isinstance(norm, _NORMS):
            _fold(module, norm)
            owner: Any = module
            owner.norm = None
        if isinstance(module, nn.Sequential):
            for i in range(1, len(module)):
                before, after = module[i - 1], module[i]
                if isinstance(before, _CONVOLUTIONS) and isinstance(after, _NORMS):
                    _fold(before, after)
                    module[i] = nn.Identity()


@torch.no_grad()
def _fold(convolution: nn.Conv2d | nn.ConvTranspose2d, norm: Any) -> None:
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
        transpose=isinstance(convolution, nn.ConvTranspose2d),
    )
