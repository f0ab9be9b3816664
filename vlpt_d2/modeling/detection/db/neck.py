"""The neck of DB."""

from collections.abc import Sequence

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.utils.registry import Registry
from torch import Tensor, nn

from ..layers import upsample_to
from .scale_fusion import AdaptiveScaleFusion

DB_NECK_REGISTRY = Registry("DB_NECK")
DB_NECK_REGISTRY.__doc__ = """
Necks of the DB head: modules from a list of maps, finest first, to one, with ``out_channels`` and
``stride``. The name is ``MODEL.DB.NECK``, called as ``obj(cfg, input_shape)`` with a list of
``ShapeSpec``.
"""


@DB_NECK_REGISTRY.register()
class DBNeck(nn.Module):
    """Feature pyramid whose levels are concatenated at the finest scale.

    1x1 laterals, top-down nearest upsampling and addition, a 3x3 convolution to a quarter of the
    channels per level, nearest upsampling, concatenation coarse to fine; no bias, no norm
    (MhLiao/DB decoders/seg_detector.py). With adaptive scale fusion this is the neck of DB++.
    """

    @configurable
    def __init__(
        self, input_shape: Sequence[ShapeSpec], channels: int = 256, scale_fusion: str = "none"
    ):
        """Build the neck.

        Args:
            input_shape: shapes of the levels, finest first.
            channels: of the laterals and of the output; a multiple of the number of levels.
            scale_fusion: "none": levels are concatenated as they are; "adaptive": weighted, see
                :class:`AdaptiveScaleFusion`.

        Raises:
            ValueError: the channels cannot be shared out among the levels, or there is no such
                fusion.
        """
        super().__init__()
        if channels % len(input_shape):
            raise ValueError(
                f"MODEL.DB.NECK_CHANNELS = {channels} is not a multiple of the "
                f"{len(input_shape)} levels of MODEL.TEXT_HEAD.IN_FEATURES"
            )
        if scale_fusion not in ("none", "adaptive"):
            raise ValueError(f'MODEL.DB.SCALE_FUSION is "none" or "adaptive", not {scale_fusion!r}')
        self.out_channels = channels
        self.stride = input_shape[0].stride
        self.laterals = nn.ModuleList(
            nn.Conv2d(shape.channels, channels, 1, bias=False) for shape in input_shape
        )
        self.smooths = nn.ModuleList(
            nn.Conv2d(channels, channels // len(input_shape), 3, padding=1, bias=False)
            for _ in input_shape
        )
        for conv in (*self.laterals, *self.smooths):
            nn.init.kaiming_normal_(conv.weight)
        self.scale_fusion = None
        if scale_fusion == "adaptive":
            self.scale_fusion = AdaptiveScaleFusion(channels, len(input_shape))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Sequence[ShapeSpec]) -> dict:
        """Read MODEL.DB."""
        node = cfg.MODEL.DB
        return {
            "input_shape": input_shape,
            "channels": node.NECK_CHANNELS,
            "scale_fusion": node.SCALE_FUSION,
        }

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Fuse maps (N, C_i, h_i, w_i), finest first, into (N, channels, h_0, w_0)."""
        levels = [lateral(x) for lateral, x in zip(self.laterals, features, strict=True)]
        for i in range(len(levels) - 2, -1, -1):
            levels[i] = levels[i] + upsample_to(levels[i + 1], levels[i])
        levels = [smooth(x) for smooth, x in zip(self.smooths, levels, strict=True)]
        levels = [upsample_to(x, levels[0]) for x in reversed(levels)]
        return torch.cat(levels, dim=1) if self.scale_fusion is None else self.scale_fusion(levels)
