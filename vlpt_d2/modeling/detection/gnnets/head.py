"""The GNNets head: EAST's, on eight branches (Xu et al., ICCV 2019; no code is published)."""

from functools import partial
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from torch import Tensor

from ..east.head import ANGLE_WEIGHT, SCORE_LOSSES, EASTHead
from ..east.losses import angle_loss, rectangle_iou_loss
from ..losses import mean_over_text
from ..text_head import TEXT_HEADS_REGISTRY, LabelFunction
from . import (
    config,  # noqa: F401  declares keys
    mapper,  # noqa: F401  registers it
)
from .branches import REACH, branch_targets, in_image
from .decode import ORIENTATIONS, STRIDES, decode_maps, size_ranges
from .labels import draw_gnnets_labels
from .neck import GNNetsNeck


@TEXT_HEADS_REGISTRY.register()
class GNNetsHead(EASTHead):
    """EAST's output convolution, shared by branches of two sizes and four orientations.

    Its keys are those of MODEL.EAST, but for ANGLE_RANGE, and MODEL.GNNETS.
    """

    target_stride = {  # type: ignore[assignment]
        f"{name}_{stride}": stride
        for stride in STRIDES
        for name in ("text", "text_mask", "geometry")
    }
    decode_maps = staticmethod(decode_maps)

    @configurable
    def __init__(self, *, split_size: float, **east: Any):
        """Build the head.

        Args:
            split_size: MODEL.GNNETS.SPLIT_SIZE.
            east: arguments of :class:`EASTHead`; its neck returns the maps of :class:`GNNetsNeck`.
        """
        super().__init__(**east)
        self.angle_range = REACH
        self.size_ranges = size_ranges(split_size)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        """Read MODEL.TEXT_HEAD, MODEL.EAST and MODEL.GNNETS."""
        arguments = super().from_config(cfg, input_shape)
        shapes = [input_shape[f] for f in arguments["in_features"]]
        split_size = cfg.MODEL.GNNETS.SPLIT_SIZE
        return {
            **arguments,
            "neck": GNNetsNeck(shapes, cfg.MODEL.EAST.NECK_CHANNELS, cfg.MODEL.TEXT_HEAD.NORM),
            "split_size": split_size,
            "decoding": {**arguments["decoding"], "split_size": split_size},
        }

    @classmethod
    def build_labels(cls, cfg: CfgNode) -> LabelFunction:
        """Return :func:`draw_gnnets_labels` with the settings of MODEL.EAST and MODEL.GNNETS."""
        return partial(
            draw_gnnets_labels,
            split_size=cfg.MODEL.GNNETS.SPLIT_SIZE,
            min_text_size=cfg.MODEL.EAST.MIN_TEXT_SIZE,
        )

    def predict(self, x: Any) -> dict[str, Tensor]:
        """Return the maps of :func:`.decode.decode_gnnets_maps`, "score_4" to "geometry_8"."""
        maps = {}
        for stride, level in zip(STRIDES, x, strict=True):
            logits = self.output(level)
            score = logits[:, :1].float().sigmoid().unflatten(0, (ORIENTATIONS, -1))
            maps[f"score_{stride}"] = score.transpose(0, 1).flatten(1, 2)
            maps[f"geometry_{stride}"] = self.geometry(logits).transpose(0, 1).flatten(1, 2)
        return maps

    def geometry(self, logits: Tensor) -> Tensor:
        """Distances and angle in the image (4, N, 5, h, w) of the logits (4 N, 6, h, w)."""
        return in_image(super().geometry(logits).unflatten(0, (ORIENTATIONS, -1)))

    def losses(self, x: Any, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return EAST's three losses, each over the cells of all branches.

        A branch learns the texts of its range, and that there is none where no text is.
        """
        cells: list[tuple[Tensor, ...]] = []
        for stride, level, sizes in zip(STRIDES, x, self.size_ranges, strict=True):
            logits = self.output(level)
            text, mask = (targets[f"{name}_{stride}"] > 0 for name in ("text", "text_mask"))
            inside, target = branch_targets(targets[f"geometry_{stride}"], sizes)
            geometry = self.geometry(logits)
            distances, wanted = geometry[:, :, :4].flatten(0, 1), target[:, :, :4].flatten(0, 1)
            parts = (
                logits[:, 0],
                text & inside,
                mask & (inside | ~text),
                rectangle_iou_loss(distances, wanted),
                angle_loss(geometry[:, :, 4], target[:, :, 4]),
            )
            cells.append(tuple(part.flatten() for part in parts))
        logits, text, mask, iou, angle = (torch.cat(part) for part in zip(*cells))
        return {
            "loss_score": SCORE_LOSSES[self.score_loss](logits, text, mask),
            "loss_iou": mean_over_text(iou, text & mask),
            "loss_angle": ANGLE_WEIGHT * mean_over_text(angle, text & mask),
        }
