"""The CRAFT head: region and affinity scores of characters (Baek et al., CVPR 2019)."""

from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from ..east.neck import EASTNeck
from ..layers import conv_norm_relu, output_conv
from ..losses import hard_negative_mask
from ..text_head import TEXT_HEADS_REGISTRY, LabelFunction, TextHead, wants_polygons
from . import config  # noqa: F401  declares keys
from .decode import STRIDE, decode_maps
from .labels import draw_craft_labels

# Channels of the merged maps, coarsest first, and of the layers at stride 2.
NECK_CHANNELS = (256, 128, 64)
CHANNELS = 32
# Pixels from this score on are text (EasyOCR trainer).
POSITIVE = 0.1


@TEXT_HEADS_REGISTRY.register()
class CRAFTHead(TextHead):
    """Region and affinity scores at stride 2."""

    target_stride = STRIDE
    decode_maps = staticmethod(decode_maps)
    threshold_keys = {
        "low_text": "MODEL.CRAFT.LOW_TEXT",
        "text_thresh": "MODEL.CRAFT.TEXT_THRESH",
    }

    @configurable
    def __init__(self, *, in_features: list[str], neck: Any, norm: str, decoding: dict):
        """Build the head.

        Args:
            in_features, neck, decoding: see :class:`TextHead`.
            norm: of the layers at stride 2, as in :func:`detectron2.layers.get_norm`.

        Raises:
            ValueError: the finest map is not at stride 4, which is upsampled twice.
        """
        super().__init__(in_features, neck, decoding)
        self.expect_stride(2 * STRIDE)
        self.fused = conv_norm_relu(neck.out_channels, CHANNELS, 3, norm)
        self.scores = nn.Sequential(
            conv_norm_relu(CHANNELS, CHANNELS, 3, norm),
            conv_norm_relu(CHANNELS, CHANNELS, 3, norm),
            conv_norm_relu(CHANNELS, CHANNELS, 3, norm),
            conv_norm_relu(CHANNELS, CHANNELS, 1, norm),
            output_conv(CHANNELS, [0.0] * 2),
        )

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        """Read MODEL.TEXT_HEAD and MODEL.CRAFT."""
        head = cfg.MODEL.TEXT_HEAD
        shapes = [input_shape[name] for name in head.IN_FEATURES]
        return {
            "in_features": head.IN_FEATURES,
            "neck": EASTNeck(shapes, NECK_CHANNELS[1 - len(shapes) :], head.NORM),
            "norm": head.NORM,
            "decoding": {
                "polygon_mode": wants_polygons(cfg),
                "link_thresh": cfg.MODEL.CRAFT.LINK_THRESH,
                **cls.thresholds(cfg),
            },
        }

    @classmethod
    def build_labels(cls, cfg: CfgNode) -> LabelFunction:
        """Return :func:`draw_craft_labels`."""
        return draw_craft_labels

    def raw_scores(self, x: Tensor) -> Tensor:
        """Region and affinity (N, 2, H / 2, W / 2), of any value."""
        x = F.interpolate(self.fused(x), scale_factor=2, mode="bilinear", align_corners=False)
        return self.scores(x)

    def predict(self, x: Tensor) -> dict[str, Tensor]:
        """Return the maps of :func:`.decode.decode_craft_maps` in [0, 1]."""
        scores = self.raw_scores(x).float().clamp(0, 1)
        return {"region": scores[:, :1], "affinity": scores[:, 1:]}

    def losses(self, x: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the losses of both maps against those of :func:`draw_craft_labels`."""
        scores, weight = self.raw_scores(x), targets["weight"]
        return {
            f"loss_{name}": balanced_square_loss(score, targets[name], weight)
            for name, score in zip(("region", "affinity"), scores.unbind(dim=1))
        }


def balanced_square_loss(prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted squared error of text and of the hardest ground, averaged over the maps.

    Of each map the mean over its text, the pixels from POSITIVE on, and that over three times as
    many of the other pixels, the hardest, are added (EasyOCR trainer). A map without text keeps all
    its ground.

    Args:
        prediction, target: (N, H, W).
        weight: same shape; 0 leaves a pixel out.
    """
    with torch.autocast(prediction.device.type, enabled=False):
        loss = weight.float() * (prediction.float() - target.float()).square()
        positive = (target >= POSITIVE) & (weight > 0)
        kept = hard_negative_mask(loss, positive, weight)
        total = loss.new_zeros(())
        for part in (positive, kept & ~positive):
            number = part.flatten(1).sum(dim=1).clamp(min=1)
            total = total + ((loss * part).flatten(1).sum(dim=1) / number).mean()
        return total
