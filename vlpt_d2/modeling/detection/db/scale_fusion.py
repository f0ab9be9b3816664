"""Adaptive scale fusion of DB++ (Liao et al., TPAMI 2022, arXiv 2202.10304, section 3.3)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class AdaptiveScaleFusion(nn.Module):
    """Weights each level of a pyramid, pixel by pixel, before the levels are concatenated.

    A 3x3 convolution of the concatenated levels is attended to by channels, then by pixels, and a
    1x1 convolution makes of it one weight in (0, 1) for every level and pixel (MhLiao/DB
    decoders/feature_attention.py, "scale_channel_spatial", which its DB++ configs use).
    """

    def __init__(self, channels: int, num_levels: int):
        """Build the layers.

        Args:
            channels: of the concatenated levels.
            num_levels: levels of equal channels.
        """
        super().__init__()
        inner = max(channels // 4, 1)
        squeezed = max(inner // 4, 1)
        self.reduce = nn.Conv2d(channels, inner, 3, padding=1)
        self.channel_attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(inner, squeezed, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, inner, 1, bias=False),
            nn.Sigmoid(),
        )
        self.pixel_attention = nn.Sequential(
            nn.Conv2d(1, 1, 3, padding=1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(1, 1, 1, bias=False),
            nn.Sigmoid(),
        )
        self.level_attention = nn.Sequential(
            nn.Conv2d(inner, num_levels, 1, bias=False), nn.Sigmoid()
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Concatenate weighted levels, (N, channels / num_levels, H, W) each, in their order."""
        x = self.reduce(torch.cat(list(levels), dim=1))
        x = x + self.channel_attention(x)
        x = x + self.pixel_attention(x.mean(dim=1, keepdim=True))
        weights = self.level_attention(x).unbind(dim=1)
        return torch.cat([w[:, None] * level for w, level in zip(weights, levels)], dim=1)
