"""The neck of PP-OCRv6's small text detector."""

from collections.abc import Sequence
from typing import cast

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from ..layers import upsample_to
from .neck import DB_NECK_REGISTRY


@DB_NECK_REGISTRY.register()
class LargeKernelNeck(nn.Module):
    """Feature pyramid with depthwise 7x7 convolutions and channel attention.

    1x1 laterals, top-down nearest upsampling and addition; of each level a depthwise 7x7 and a 1x1
    convolution to a quarter of the channels; nearest upsampling, concatenation coarse to fine.
    Each 1x1 convolution is followed by a residual squeeze and excitation. PaddleOCR trains the 7x7
    convolutions as sums of smaller and dilated ones; these are the merged ones.
    """

    @configurable
    def __init__(self, input_shape: Sequence[ShapeSpec], channels: int = 96):
        """Build the neck.

        Args:
            input_shape: shapes of the levels, finest first.
            channels: of the laterals and of the output; a multiple of four times the number of
                levels.

        Raises:
            ValueError: the channels cannot be shared out among the levels.
        """
        super().__init__()
        if channels % (4 * len(input_shape)):
            raise ValueError(
                f"MODEL.DB.NECK_CHANNELS = {channels} is not a multiple of {4 * len(input_shape)}: "
                f"four times the {len(input_shape)} levels of MODEL.TEXT_HEAD.IN_FEATURES"
            )
        self.out_channels = channels
        self.stride = input_shape[0].stride
        self.laterals = nn.ModuleList(_Attended(shape.channels, channels) for shape in input_shape)
        convs = [nn.Conv2d(channels, channels, 7, padding=3, groups=channels) for _ in input_shape]
        self.depthwise = nn.ModuleList(convs)
        self.smooths = nn.ModuleList(
            _Attended(channels, channels // len(input_shape)) for _ in input_shape
        )
        for conv in convs:
            nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
            nn.init.zeros_(cast(Tensor, conv.bias))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Sequence[ShapeSpec]) -> dict:
        """Read MODEL.DB.

        Raises:
            ValueError: a scale fusion is asked for, which this neck lacks.
        """
        node = cfg.MODEL.DB
        if node.SCALE_FUSION != "none":
            raise ValueError(
                f"MODEL.DB.SCALE_FUSION is {node.SCALE_FUSION!r}: LargeKernelNeck has none"
            )
        return {"input_shape": input_shape, "channels": node.NECK_CHANNELS}

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Fuse maps (N, C_i, h_i, w_i), finest first, into (N, channels, h_0, w_0)."""
        # Coarse to fine throughout, the order in which the published file computes.
        levels: list[Tensor] = [
            lateral(x) for lateral, x in zip(self.laterals[::-1], features[::-1], strict=True)
        ]
        for i in range(1, len(levels)):
            levels[i] = levels[i] + upsample_to(levels[i - 1], levels[i])
        levels = [
            smooth(depthwise(x))
            for smooth, depthwise, x in zip(self.smooths[::-1], self.depthwise[::-1], levels)
        ]
        return torch.cat([upsample_to(x, levels[-1]) for x in levels], dim=1)


class _Attended(nn.Module):
    """A 1x1 convolution without bias and a residual squeeze and excitation."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.squeeze = SqueezeExcitation(out_channels, out_channels // 4, scale_activation=_Gate)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="linear")

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x + self.squeeze(x)


class _Gate(nn.Module):
    """PaddlePaddle's hard sigmoid: a slope of 1 / 5 where torch's has 1 / 6."""

    def forward(self, x: Tensor) -> Tensor:
        return (0.2 * x + 0.5).clamp(0.0, 1.0)
