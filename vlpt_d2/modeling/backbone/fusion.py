"""From the trunk's maps to one map of visual tokens at stride 16."""

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from fvcore.common.registry import Registry
from torch import nn

from .trunk import RESNET_FEATURES

FUSION_REGISTRY = Registry("FUSION")
FUSION_REGISTRY.__doc__ = """
Modules that turn a dict of trunk maps into one (N, embed_dim, H / 16, W / 16) map; the name is
``MODEL.IMAGE_ENCODER.FUSION``, called as ``obj(cfg, input_shape)``. ``TOKEN_CENTRE`` says where in
its 16 x 16 pixels a token lies, as a share of the side (0.5 if there is no such attribute).
"""


class _TopDown(nn.Module):
    """FPN laterals (1x1, no bias, no norm) and the top-down path (nearest upsampling, sum).

    Convolutions start as torch initialises them, as in the release: a third of Xavier's variance.
    """

    TOKEN_CENTRE = 0.5

    @configurable
    def __init__(self, *, input_shape: dict[str, ShapeSpec], fpn_channels: int, embed_dim: int):
        """
        Args:
            input_shape: the maps to fuse, finest first, each at twice the stride of the last.
            fpn_channels: channels of every level.
            embed_dim: channels of the output map.
        """
        super().__init__()
        self.in_features = list(input_shape)
        self.strides = [s.stride for s in input_shape.values()]
        self.laterals = nn.ModuleList(
            nn.Conv2d(s.channels, fpn_channels, 1, bias=False) for s in input_shape.values()
        )

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        node = cfg.MODEL.IMAGE_ENCODER
        return {
            "input_shape": {name: input_shape[name] for name in RESNET_FEATURES},
            "fpn_channels": node.FPN_CHANNELS,
            "embed_dim": node.EMBED_DIM,
        }

    def pyramid(self, features: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """Return the levels P2, P3, … of shape (N, fpn_channels, H_i, W_i), finest first."""
        levels = [conv(features[f]) for f, conv in zip(self.in_features, self.laterals)]
        for i in range(len(levels) - 2, -1, -1):
            top = F.interpolate(levels[i + 1], size=levels[i].shape[-2:], mode="nearest")
            levels[i] = levels[i] + top
        return levels


@FUSION_REGISTRY.register()
class ConcatFusion(_TopDown):
    """All levels resized to the second (stride 8), concatenated, 1x1 convolution of stride 2.

    Paper section 3.1 and release models/encoders.py: bilinear resizing, order P2, P3, P4, P5.
    """

    # The strided convolution has one tap: it keeps the first of two cells of 8 pixels.
    TOKEN_CENTRE = 0.25

    @configurable
    def __init__(self, *, input_shape: dict[str, ShapeSpec], fpn_channels: int, embed_dim: int):
        super().__init__(input_shape=input_shape, fpn_channels=fpn_channels, embed_dim=embed_dim)
        self.scale = self.strides.index(8)
        self.project = nn.Conv2d(fpn_channels * len(self.laterals), embed_dim, 1, stride=2)

    def forward(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        levels = self.pyramid(features)
        size = levels[self.scale].shape[-2:]
        resized = [
            level
            if level.shape[-2:] == size
            else F.interpolate(level, size=size, mode="bilinear", align_corners=False)
            for level in levels
        ]
        return self.project(torch.cat(resized, dim=1))


@FUSION_REGISTRY.register()
class PlainFPN(_TopDown):
    """The stride-16 level of a plain FPN, smoothed by a 3x3 convolution (the ablation).

    The paper does not say which plain FPN its ablation uses; this is our reading.
    """

    @configurable
    def __init__(self, *, input_shape: dict[str, ShapeSpec], fpn_channels: int, embed_dim: int):
        super().__init__(input_shape=input_shape, fpn_channels=fpn_channels, embed_dim=embed_dim)
        self.scale = self.strides.index(16)
        # The finer levels do not reach the output, so their laterals are not kept.
        self.in_features = self.in_features[self.scale :]
        self.laterals = self.laterals[self.scale :]
        self.smooth = nn.Conv2d(fpn_channels, fpn_channels, 3, padding=1)
        self.project = nn.Conv2d(fpn_channels, embed_dim, 1)

    def forward(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.project(self.smooth(self.pyramid(features)[0]))
