"""The EAST head: a score and a rectangle from every cell (Zhou et al., CVPR 2017)."""

import math
from functools import partial
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from torch import Tensor

from ..layers import output_conv
from ..losses import balanced_bce_loss, dice_loss, mean_over_text
from ..rectangles import ANGLE_RANGES
from ..text_head import TEXT_HEADS_REGISTRY, LabelFunction, TextHead, wants_polygons
from . import config  # noqa: F401  declares keys
from .decode import STRIDE, decode_maps
from .labels import draw_east_labels
from .losses import angle_loss, class_balanced_bce_loss, rectangle_iou_loss
from .neck import EASTNeck

# Logits, text and mask, (N, h, w) each, to a scalar.
SCORE_LOSSES = {
    "dice": lambda logits, text, mask: dice_loss(logits.float().sigmoid(), text, mask),
    "balanced_bce": class_balanced_bce_loss,
    "hard_bce": balanced_bce_loss,
}
# Weight of the angles' loss, those of the score and of the rectangles being 1 (paper, equation 7,
# lambda_theta).
ANGLE_WEIGHT = 10.0

# What an untrained head predicts: the score, about the share of cells that are text, and the
# distance to each side, in pixels.
_START_SCORE = 0.005
_START_DISTANCE = 32.0


@TEXT_HEADS_REGISTRY.register()
class EASTHead(TextHead):
    """Score, four distances and an angle at stride 4, each from one 1x1 convolution."""

    target_stride = STRIDE
    threshold_keys = {
        "score_thresh": "MODEL.EAST.SCORE_THRESH",
        "box_thresh": "MODEL.EAST.BOX_THRESH",
    }
    decode_maps = staticmethod(decode_maps)

    @configurable
    def __init__(
        self,
        *,
        in_features: list[str],
        neck: Any,
        angle_range: int,
        distance_scale: float,
        score_loss: str,
        decoding: dict,
    ):
        """Build the head.

        Args:
            in_features, neck, decoding: see :class:`TextHead`.
            angle_range: angles are predicted within +- this many degrees, 45 or 90.
            distance_scale: distances are predicted between 0 and this many pixels.
            score_loss: one of SCORE_LOSSES.

        Raises:
            ValueError: one of the choices is unknown, or the finest map is not at stride 4, where
                the labels are drawn.
        """
        super().__init__(in_features, neck, decoding)
        for key, value, known in (
            ("ANGLE_RANGE", angle_range, ANGLE_RANGES),
            ("SCORE_LOSS", score_loss, tuple(SCORE_LOSSES)),
        ):
            if value not in known:
                raise ValueError(f"MODEL.EAST.{key} is one of {known}, not {value!r}")
        self.expect_stride(STRIDE)
        # Start with little text, and rectangles near the size of words, not in the middle of the
        # two scales: dice falls from its plateau several times sooner.
        side = _logit(min(_START_DISTANCE / distance_scale, 0.5))
        # Score, top, right, bottom, left, angle.
        start = [_logit(_START_SCORE), side, side, side, side, 0.0]
        self.output = output_conv(neck.out_channels, start)
        self.angle_range = math.radians(angle_range)
        self.distance_scale = distance_scale
        self.score_loss = score_loss

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        """Read MODEL.TEXT_HEAD and MODEL.EAST."""
        head, node = cfg.MODEL.TEXT_HEAD, cfg.MODEL.EAST
        wants_polygons(cfg)  # checks it: EAST's polygons are its boxes
        shapes = [input_shape[f] for f in head.IN_FEATURES]
        return {
            "in_features": head.IN_FEATURES,
            "neck": EASTNeck(shapes, node.NECK_CHANNELS, head.NORM),
            "angle_range": node.ANGLE_RANGE,
            "distance_scale": node.DISTANCE_SCALE,
            "score_loss": node.SCORE_LOSS,
            "decoding": cls.thresholds(cfg),
        }

    @classmethod
    def build_labels(cls, cfg: CfgNode) -> LabelFunction:
        """Return :func:`draw_east_labels` with the settings of MODEL.EAST."""
        node = cfg.MODEL.EAST
        return partial(
            draw_east_labels,
            min_text_size=node.MIN_TEXT_SIZE,
            angle_range=node.ANGLE_RANGE,
        )

    def predict(self, x: Tensor) -> dict[str, Tensor]:
        """Return the maps of :func:`~.decode.decode_east_maps`: "score" and "geometry"."""
        logits = self.output(x)
        return {"score": logits[:, :1].float().sigmoid(), "geometry": self.geometry(logits)}

    def geometry(self, logits: Tensor) -> Tensor:
        """Distances in pixels and angle in radians (N, 5, h, w) of the logits (N, 6, h, w)."""
        with torch.autocast(logits.device.type, enabled=False):
            share = logits[:, 1:].float().sigmoid()
            angle = (share[:, 4:] - 0.5) * (2 * self.angle_range)
            return torch.cat([share[:, :4] * self.distance_scale, angle], dim=1)

    def losses(self, x: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the three losses against the maps of :func:`draw_east_labels`."""
        logits = self.output(x)
        text, mask = targets["text"], targets["text_mask"]
        score_loss = SCORE_LOSSES[self.score_loss](logits[:, 0], text, mask)
        geometry, target = self.geometry(logits), targets["geometry"]
        learnt = (text > 0) & (mask > 0)
        iou = rectangle_iou_loss(geometry[:, :4], target[:, :4])
        angle = angle_loss(geometry[:, 4], target[:, 4])
        return {
            "loss_score": score_loss,
            "loss_iou": mean_over_text(iou, learnt),
            "loss_angle": ANGLE_WEIGHT * mean_over_text(angle, learnt),
        }


def _logit(share: float) -> float:
    return math.log(share / (1 - share))
