"""The TextDragon head: centre lines and the local boxes on them (Feng et al., ICCV 2019)."""

import math
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from torch import Tensor

from ..decoded import DecodedTexts
from ..east.losses import rectangle_iou_loss
from ..east.neck import EASTNeck
from ..layers import output_conv
from ..losses import balanced_bce_loss, mean_over_text
from ..text_head import TEXT_HEADS_REGISTRY, LabelFunction, TextHead, wants_polygons
from . import config  # noqa: F401  declares keys
from .decode import STRIDE, decode_maps, decode_with_sides
from .labels import draw_dragon_labels
from .reader import TextReader
from .reading import strip_between

# Weight of the directions' loss, those of the centre lines and of the boxes being 1 (as in EAST).
DIRECTION_WEIGHT = 10.0

# Of the neck where it is read: characters need more features than boxes.
READING_CHANNELS = (256, 128, 128)

# What an untrained head predicts: the score, and the distance to each side in pixels.
_START_SCORE = 0.02
_DISTANCE_UNIT = 16.0


@TEXT_HEADS_REGISTRY.register()
class TextDragonHead(TextHead):
    """A score, four distances and a direction at stride 4."""

    target_stride = STRIDE
    threshold_keys = {
        "centre_thresh": "MODEL.TEXTDRAGON.CENTRE_THRESH",
        "score_thresh": "MODEL.TEXTDRAGON.SCORE_THRESH",
    }
    decode_maps = staticmethod(decode_maps)

    @configurable
    def __init__(
        self, *, in_features: list[str], neck: Any, decoding: dict, reader: TextReader | None = None
    ):
        """Build the head.

        Args:
            in_features, neck, decoding: see :class:`TextHead`.
            reader: reads the neck's output; None: the head only detects.

        Raises:
            ValueError: the finest map is not at stride 4, where the labels are drawn.
        """
        super().__init__(in_features, neck, decoding)
        self.expect_stride(STRIDE)
        # Score, top, right, bottom, left, cos, sin: to the right, as most texts run; a direction
        # needs a length.
        score = math.log(_START_SCORE / (1 - _START_SCORE))
        self.output = output_conv(neck.out_channels, [score, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0])
        self.reader = reader

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        """Read MODEL.TEXT_HEAD and MODEL.TEXTDRAGON."""
        head, node = cfg.MODEL.TEXT_HEAD, cfg.MODEL.TEXTDRAGON
        shapes = [input_shape[f] for f in head.IN_FEATURES]
        neck = EASTNeck(shapes, READING_CHANNELS if node.READ else (128, 64, 32), head.NORM)
        return {
            "in_features": head.IN_FEATURES,
            "neck": neck,
            "reader": TextReader(neck.out_channels, head.NORM) if node.READ else None,
            "decoding": {"polygon_mode": wants_polygons(cfg), **cls.thresholds(cfg)},
        }

    @classmethod
    def build_labels(cls, cfg: CfgNode) -> LabelFunction:
        """Return :func:`draw_dragon_labels` with the settings of MODEL.TEXTDRAGON."""
        return partial(draw_dragon_labels, read=cfg.MODEL.TEXTDRAGON.READ)

    def predict(self, x: Tensor) -> dict[str, Tensor]:
        """Return "score" (N, 1, h, w) and "geometry" (N, 6, h, w); to read "features", too."""
        logits = self.output(x)
        maps = {"score": logits[:, :1].float().sigmoid(), "geometry": self.geometry(logits)}
        return maps if self.reader is None else maps | {"features": x}

    @staticmethod
    def geometry(logits: Tensor) -> Tensor:
        """Distances in pixels, cos and sin (N, 6, h, w) of the logits (N, 7, h, w)."""
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            # Linear in the logit for large texts, and never negative.
            distances = _DISTANCE_UNIT / math.log(2) * F.softplus(logits[:, 1:5])
            return torch.cat([distances, F.normalize(logits[:, 5:], dim=1)], dim=1)

    def losses(self, x: Tensor, targets: dict[str, Any]) -> dict[str, Tensor]:
        """Return the losses against the maps of :func:`draw_dragon_labels`."""
        logits = self.output(x)
        text, mask = targets["text"], targets["text_mask"]
        found, target = self.geometry(logits), targets["geometry"].float()
        learnt = (text > 0) & (mask > 0)
        iou = rectangle_iou_loss(found[:, :4], target[:, :4])
        direction = 1.0 - (found[:, 4:] * target[:, 4:]).sum(dim=1)
        losses = {
            "loss_centre": balanced_bce_loss(logits[:, 0], text, mask),
            "loss_box": mean_over_text(iou, learnt),
            "loss_direction": DIRECTION_WEIGHT * mean_over_text(direction, learnt),
        }
        if self.reader is not None:
            losses["loss_reading"] = self.reader.loss(x, targets["strips"], targets["words"])
        return losses

    def decode(self, maps: dict[str, Tensor], image_size: tuple[int, int]) -> DecodedTexts:
        """Decode one image, and read what is found if there are features.

        See :meth:`TextHead.decode`.
        """
        if self.reader is None or "features" not in maps:
            return super().decode(maps, image_size)
        arrays = {name: maps[name].float().cpu().numpy() for name in ("score", "geometry")}
        decoded, sides = decode_with_sides(arrays, image_size, **self.decoding)
        strips = [strip_between(pair) for pair in sides]
        decoded.words = self.reader.read(maps["features"].to(self.output.weight), strips)
        return decoded
