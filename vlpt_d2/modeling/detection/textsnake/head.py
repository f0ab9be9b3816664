"""The TextSnake head: text, centre lines, and what is along them (Long et al., ECCV 2018)."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec, get_norm
from torch import Tensor, nn

from ..east.neck import EASTNeck
from ..layers import output_conv
from ..losses import balanced_bce_loss, mean_over_text
from ..text_head import TEXT_HEADS_REGISTRY, LabelFunction, TextHead, wants_polygons
from . import config  # noqa: F401  declares keys
from .decode import STRIDE, decode_maps
from .labels import draw_snake_labels

# What an untrained head predicts: the probabilities, and the radius in pixels.
_START_PROBABILITY = 0.1
_RADIUS_UNIT = 16.0


@TEXT_HEADS_REGISTRY.register()
class TextSnakeHead(TextHead):
    """Text, centre lines, radius and direction at stride 2."""

    target_stride = STRIDE

    threshold_keys = {
        "centre_thresh": "MODEL.TEXTSNAKE.CENTRE_THRESH",
        "score_thresh": "MODEL.TEXTSNAKE.SCORE_THRESH",
    }
    decode_maps = staticmethod(decode_maps)

    @configurable
    def __init__(self, *, in_features: list[str], neck: Any, norm: str, decoding: dict):
        """Build the head.

        Args:
            in_features, neck, decoding: see :class:`TextHead`.
            norm: normalisation of the upsampling, as in :func:`detectron2.layers.get_norm`.

        Raises:
            ValueError: the finest map is not at stride 4, which the upsampling assumes.
        """
        super().__init__(in_features, neck, decoding)
        self.expect_stride(2 * STRIDE)
        channels = neck.out_channels
        conv = nn.ConvTranspose2d(channels, channels, 2, stride=2, bias=not norm)
        # Each output pixel sums one tap of every input channel.
        nn.init.normal_(conv.weight, std=math.sqrt(2.0 / channels))
        norm_layer = get_norm(norm, channels) or nn.Identity()
        self.upsample = nn.Sequential(conv, norm_layer, nn.ReLU(inplace=True))
        # Text, centre line, radius, cos, sin: to the right, as most texts run; a direction needs a
        # length.
        probability = math.log(_START_PROBABILITY / (1 - _START_PROBABILITY))
        self.output = output_conv(channels, [probability, probability, 0.0, 0.5, 0.0])

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        """Read MODEL.TEXT_HEAD and MODEL.TEXTSNAKE."""
        head = cfg.MODEL.TEXT_HEAD
        shapes = [input_shape[f] for f in head.IN_FEATURES]
        return {
            "in_features": head.IN_FEATURES,
            "neck": EASTNeck(shapes, norm=head.NORM),
            "norm": head.NORM,
            "decoding": {"polygon_mode": wants_polygons(cfg), **cls.thresholds(cfg)},
        }

    @classmethod
    def build_labels(cls, cfg: CfgNode) -> LabelFunction:
        """Return :func:`draw_snake_labels`."""
        return draw_snake_labels

    def predict(self, x: Tensor) -> dict[str, Tensor]:
        """Return "text", "centre" and "geometry", (N, C, h, w) each."""
        logits = self.output(self.upsample(x)).float()
        probabilities = logits[:, :2].sigmoid()
        return {
            "text": probabilities[:, :1],
            "centre": probabilities[:, 1:],
            "geometry": self.geometry(logits),
        }

    @staticmethod
    def geometry(logits: Tensor) -> Tensor:
        """Radius in pixels, cos and sin (N, 3, H, W) of the logits (N, 5, H, W)."""
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            # Linear in the logit for large texts, and never negative.
            radius = _RADIUS_UNIT / math.log(2) * F.softplus(logits[:, 2:3])
            return torch.cat([radius, F.normalize(logits[:, 3:], dim=1)], dim=1)

    def losses(self, x: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the losses against the maps of :func:`draw_snake_labels`, unweighted (paper)."""
        logits = self.output(self.upsample(x))
        text, mask = targets["text"], targets["text_mask"]
        # The paper learns centre lines only within texts, as they are looked for only there.
        inside = (text > 0) & (mask > 0)
        line = inside & (targets["centre"] > 0)
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            centre = F.binary_cross_entropy_with_logits(
                logits[:, 1], targets["centre"].float(), reduction="none"
            )
            found, target = self.geometry(logits), targets["geometry"].float()
            # In shares of the true radius: a pixel more or less matters to small texts.
            radius = (found[:, 0] - target[:, 0]) / target[:, 0].clamp_min(1.0)
            radius = F.smooth_l1_loss(radius, torch.zeros_like(radius), reduction="none")
            direction = F.smooth_l1_loss(found[:, 1:], target[:, 1:], reduction="none").sum(dim=1)
        return {
            "loss_text": balanced_bce_loss(logits[:, 0], text, mask),
            "loss_centre": mean_over_text(centre, inside),
            "loss_radius": mean_over_text(radius, line),
            "loss_direction": mean_over_text(direction, line),
        }
