"""The neck of PSENet."""

from collections.abc import Sequence

import torch
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from ..layers import conv_norm_relu, upsample_to


class PSENetNeck(nn.Module):
    """Feature pyramid whose smoothed levels are concatenated at the finest scale.

    1x1 laterals, top-down bilinear upsampling and addition, a 3x3 convolution of each sum but the
    coarsest level, which is added to the next finer one; bilinear upsampling, concatenation fine to
    coarse. Every convolution is followed by norm and ReLU (whai362/PSENet models/neck/fpn.py).
    """

    def __init__(self, input_shape: Sequence[ShapeSpec], channels: int = 256, norm: str = "BN"):
        """Build the neck.

        Args:
            input_shape: shapes of the levels, finest first.
            channels: of each level; the output has as many times this as there are levels.
            norm: see :func:`detectron2.layers.get_norm`.
        """
        super().__init__()
        self.out_channels = channels * len(input_shape)
        self.stride = input_shape[0].stride
        self.laterals = nn.ModuleList(
            conv_norm_relu(shape.channels, channels, 1, norm) for shape in input_shape
        )
        self.smooths = nn.ModuleList(
            conv_norm_relu(channels, channels, 3, norm) for _ in input_shape[:-1]
        )

    def pyramid(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the smoothed levels (N, channels, h_i, w_i) of maps (N, C_i, h_i, w_i)."""
        levels = [lateral(x) for lateral, x in zip(self.laterals, features, strict=True)]
        for i in range(len(levels) - 2, -1, -1):
            levels[i] = self.smooths[i](
                levels[i] + upsample_to(levels[i + 1], levels[i], "bilinear")
            )
        return levels

    @staticmethod
    def join(levels: Sequence[Tensor], like: Tensor) -> Tensor:
        """Concatenate levels, each resized to the height and width of one of them."""
        return torch.cat([upsample_to(x, like, "bilinear") for x in levels], dim=1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Fuse maps (N, C_i, h_i, w_i), finest first, into (N, out_channels, h_0, w_0)."""
        levels = self.pyramid(features)
        return self.join(levels, levels[0])
