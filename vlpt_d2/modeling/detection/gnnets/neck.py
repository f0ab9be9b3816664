"""The neck of GNNets: EAST's, and the geometry normalisation module."""

from collections.abc import Sequence

import torch
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from ..east.neck import EASTNeck
from ..layers import conv_norm_relu
from .branches import ORIENTATIONS, turn, turn_back


class GNNetsNeck(nn.Module):
    """EAST's merged map, at full and at half size, each in four orientations.

    The scale units are a 1x1 convolution, and a 1x1 convolution, a 2x2 max-pooling and a 3x3 one.
    The orientation units of each size are a 1x1 convolution, and three of a 1x1 convolution, a flip
    or turn and a 3x3 one. All convolutions are followed by norm and ReLU.

    The units' maps are turned back: the head is a 1x1 convolution, to which it is all the same, and
    batches need maps of one shape.
    """

    def __init__(self, input_shape: Sequence[ShapeSpec], channels: Sequence[int], norm: str):
        """
        Args:
            input_shape, channels, norm: see :class:`EASTNeck`.
        """
        super().__init__()
        self.merge = EASTNeck(input_shape, channels, norm)
        self.stride, width = self.merge.stride, self.merge.out_channels
        self.out_channels = width
        self.full_size = conv_norm_relu(width, width, 1, norm)
        self.half_size = nn.Sequential(
            conv_norm_relu(width, width, 1, norm),
            nn.MaxPool2d(2, ceil_mode=True),
            conv_norm_relu(width, width, 3, norm),
        )
        self.full_units, self.half_units = (
            nn.ModuleList(_OrientationUnit(width, norm, i) for i in range(len(ORIENTATIONS)))
            for _ in range(2)
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Turn maps (N, C_i, h_i, w_i), finest first, into those of the branches.

        Returns:
            (4 N, out_channels, h, w) at full and at half size, each all images' of the first
            orientation, then of the second ...
        """
        x = self.merge(features)
        full, half = self.full_size(x), self.half_size(x)
        return [
            torch.cat([unit(full) for unit in self.full_units]),
            torch.cat([unit(half) for unit in self.half_units]),
        ]


class _OrientationUnit(nn.Module):
    """A 1x1 convolution and, of all but the first orientation, a 3x3 one on the turned map."""

    def __init__(self, width: int, norm: str, orientation: int):
        super().__init__()
        self.orientation = orientation
        self.reduce = conv_norm_relu(width, width, 1, norm)
        self.fuse = conv_norm_relu(width, width, 3, norm) if orientation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.fuse(turn(self.reduce(x), self.orientation))
        return turn_back(x, self.orientation)
