"""Layers that necks and heads are made of."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from detectron2.layers import get_norm
from torch import Tensor, nn


def conv_norm_relu(
    in_channels: int, out_channels: int, kernel: int, norm: str, stride: int = 1
) -> nn.Sequential:
    """A convolution that keeps the size but for its stride, norm (see ``get_norm``) and ReLU."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=not norm)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    layers = [conv, get_norm(norm, out_channels) or nn.Identity(), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def output_conv(in_channels: int, start: Sequence[float], kernel: int = 1) -> nn.Conv2d:
    """The last convolution of a head: its maps start near these values, one for each of them."""
    conv = nn.Conv2d(in_channels, len(start), kernel, padding=kernel // 2)
    nn.init.normal_(conv.weight, std=0.01)
    conv.bias = nn.Parameter(torch.tensor(start))
    return conv


def upsample_to(x: Tensor, like: Tensor, mode: str = "nearest") -> Tensor:
    """Upsample maps (N, C, h, w) to the height and width of another.

    To the finer map's size, not by a factor: the two differ on sizes that are no multiple of 32.

    Args:
        x: the maps.
        like: (N, C', h', w').
        mode: "nearest" or "bilinear" (pixels are areas, corners are not aligned).
    """
    if x.shape[-2:] == like.shape[-2:]:
        return x
    align = None if mode == "nearest" else False
    return F.interpolate(x, size=like.shape[-2:], mode=mode, align_corners=align)
