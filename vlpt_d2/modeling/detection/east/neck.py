"""The neck of EAST."""

from collections.abc import Sequence

import torch
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from ..layers import conv_norm_relu, upsample_to


class EASTNeck(nn.Module):
    """U-shaped merging of levels, from the coarsest to the finest.

    The map so far is upsampled and concatenated with the next finer level; a 1x1 convolution
    reduces the channels and a 3x3 one fuses them. A last 3x3 convolution gives the output. Every
    convolution is followed by norm and ReLU (EAST paper section 3.2; argman/EAST model.py).
    """

    def __init__(
        self,
        input_shape: Sequence[ShapeSpec],
        channels: Sequence[int] = (128, 64, 32),
        norm: str = "BN",
    ):
        """Build the neck.

        Args:
            input_shape: shapes of the levels, finest first.
            channels: of the merged maps, coarsest first, one for each level but the coarsest; the
                last one is that of the output too.
            norm: see :func:`detectron2.layers.get_norm`.

        Raises:
            ValueError: the channels do not fit the levels.
        """
        super().__init__()
        if len(channels) != len(input_shape) - 1:
            raise ValueError(
                f"MODEL.EAST.NECK_CHANNELS {tuple(channels)} must be {len(input_shape) - 1} "
                "numbers, one for each level of MODEL.TEXT_HEAD.IN_FEATURES but the coarsest"
            )
        self.out_channels = channels[-1]
        self.stride = input_shape[0].stride
        self.merges = nn.ModuleList()
        previous = input_shape[-1].channels
        for shape, width in zip(reversed(input_shape[:-1]), channels):
            self.merges.append(
                nn.Sequential(
                    conv_norm_relu(previous + shape.channels, width, 1, norm),
                    conv_norm_relu(width, width, 3, norm),
                )
            )
            previous = width
        self.output = conv_norm_relu(previous, previous, 3, norm)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Merge maps (N, C_i, h_i, w_i), finest first, into (N, out_channels, h_0, w_0)."""
        *finer, x = features
        for merge, level in zip(self.merges, reversed(finer), strict=True):
            x = merge(torch.cat([upsample_to(x, level, "bilinear"), level], dim=1))
        return self.output(x)
