"""Layers that necks and heads are made of."""

from detectron2.layers import get_norm
from torch import nn


def conv_norm_relu(in_channels: int, out_channels: int, kernel: int, norm: str) -> nn.Sequential:
    """A convolution that keeps the size, norm (see ``get_norm``) and ReLU."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=not norm)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    if not norm:
        nn.init.zeros_(conv.bias)
    layers = [conv, get_norm(norm, out_channels) or nn.Identity(), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
