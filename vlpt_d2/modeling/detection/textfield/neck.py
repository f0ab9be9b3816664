"""The neck of TextField."""

from collections.abc import Sequence

import torch
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from ..layers import conv_norm_relu, upsample_to


class TextFieldNeck(nn.Module):
    """Levels that are concatenated at the finest scale, without a top-down path.

    On each level a 5x5 and two 1x1 convolutions, each followed by norm and ReLU; then bilinear
    upsampling and concatenation, fine to coarse (paper, figure 3; YukangWang/TextField).
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
        self.levels = nn.ModuleList(
            nn.Sequential(
                conv_norm_relu(shape.channels, channels, 5, norm),
                conv_norm_relu(channels, channels, 1, norm),
                conv_norm_relu(channels, channels, 1, norm),
            )
            for shape in input_shape
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Fuse maps (N, C_i, h_i, w_i), finest first, into (N, out_channels, h_0, w_0)."""
        levels = [level(x) for level, x in zip(self.levels, features, strict=True)]
        return torch.cat([upsample_to(x, levels[0], "bilinear") for x in levels], dim=1)
