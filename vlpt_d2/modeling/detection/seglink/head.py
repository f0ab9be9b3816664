"""The SegLink head: segments and links from every cell of six levels (Shi et al., CVPR 2017)."""

from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from ..layers import output_conv
from ..losses import balanced_bce_loss, mean_over_text
from ..text_head import TEXT_HEADS_REGISTRY, LabelFunction, TextHead, wants_polygons
from . import config  # noqa: F401  declares keys
from .decode import ACROSS, LINKS, STRIDES, WITHIN, decode_maps
from .labels import draw_seglink_labels
from .neck import SegLinkNeck

# Unit in which the six numbers of a segment are learnt (bgshih/seglink).
GEOMETRY_UNIT = 0.1
# Hardest negatives for each positive, of segments and of links.
NEGATIVE_RATIO = 3.0
# The paper divides the sum of the cross entropies by the positives only.
SEGMENT_WEIGHT = LINK_WEIGHT = 1.0 + NEGATIVE_RATIO
GEOMETRY_WEIGHT = 1.0


@TEXT_HEADS_REGISTRY.register()
class SegLinkHead(TextHead):
    """On six levels, strides 8 to 256: is a cell text, which segment of it, and its links.

    Of MODEL.TEXT_HEAD.IN_FEATURES the maps of strides 8, 16 and 32 are read.
    """

    target_stride = {
        f"{name}_{stride}": stride
        for stride in STRIDES
        for name in ("text", "text_mask", "geometry")
    }
    decode_maps = staticmethod(decode_maps)
    threshold_keys = {
        "segment_thresh": "MODEL.SEGLINK.SEGMENT_THRESH",
        "link_thresh": "MODEL.SEGLINK.LINK_THRESH",
    }

    @configurable
    def __init__(self, *, in_features: list[str], neck: Any, decoding: dict):
        """Build the head.

        Args:
            in_features, decoding: see :class:`TextHead`.
            neck: module from the list of these maps to one for each of STRIDES, with
                ``out_channels``, a list.
        """
        super().__init__(in_features, neck, decoding)
        self.outputs = nn.ModuleList()
        for level, channels in enumerate(neck.out_channels):
            links = len(WITHIN) + (len(ACROSS) if level else 0)
            self.outputs.append(output_conv(channels, [0.0] * (LINKS + links), 3))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        """Read MODEL.TEXT_HEAD and MODEL.SEGLINK."""
        wants_polygons(cfg)  # checks it: SegLink's polygons are its boxes
        names = cfg.MODEL.TEXT_HEAD.IN_FEATURES
        names = [name for name in names if input_shape[name].stride >= STRIDES[0]]
        return {
            "in_features": names,
            "neck": SegLinkNeck([input_shape[name] for name in names]),
            "decoding": cls.thresholds(cfg),
        }

    @classmethod
    def build_labels(cls, cfg: CfgNode) -> LabelFunction:
        """Return :func:`draw_seglink_labels`."""
        return draw_seglink_labels

    def predict(self, x: list[Tensor]) -> dict[str, Tensor]:
        """Return the maps of :func:`decode_seglink_maps`, "level_8" to "level_256"."""
        maps = {}
        for stride, output, level in zip(STRIDES, self.outputs, x, strict=True):
            logits = output(level).float()
            geometry = GEOMETRY_UNIT * logits[:, 1:LINKS]
            parts = logits[:, :1].sigmoid(), geometry, logits[:, LINKS:].sigmoid()
            maps[f"level_{stride}"] = torch.cat(parts, dim=1)
        return maps

    def losses(self, x: list[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the three losses against the maps of :func:`draw_seglink_labels`."""
        logits = [output(level) for output, level in zip(self.outputs, x, strict=True)]
        texts = [targets[f"text_{stride}"] for stride in STRIDES]
        masks = [targets[f"text_mask_{stride}"] for stride in STRIDES]
        text, mask = _flat(texts), _flat(masks)
        geometry = []
        for stride, level in zip(STRIDES, logits):
            with torch.autocast(level.device.type, enabled=False):
                target = targets[f"geometry_{stride}"] / GEOMETRY_UNIT
                loss = F.smooth_l1_loss(level[:, 1:LINKS].float(), target, reduction="none")
                geometry.append(loss.sum(dim=1))
        linked, learnt = link_targets(texts, masks)
        links = _flat([level[:, LINKS:] for level in logits])
        return {
            "loss_segments": SEGMENT_WEIGHT
            * balanced_bce_loss(_flat([m[:, 0] for m in logits]), text > 0, mask, NEGATIVE_RATIO),
            "loss_geometry": GEOMETRY_WEIGHT
            * mean_over_text(_flat(geometry), (text > 0) & (mask > 0)),
            "loss_links": LINK_WEIGHT
            * balanced_bce_loss(links, _flat(linked), _flat(learnt), NEGATIVE_RATIO),
        }


def link_targets(texts: list[Tensor], masks: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Which links join two cells of one text, and which are learnt.

    Args:
        texts: numbers of the texts of each level, 0 for none, (N, h, w).
        masks: 0 where ignored, same shapes.

    Returns:
        For each level bool (N, 8 or 12, h, w): linked, and learnt, which links are whose two ends
        are both on the map and not ignored.
    """
    linked, learnt, finer = [], [], None
    for text, mask in zip(texts, masks):
        height, width = text.shape[-2:]
        here = torch.stack([text, mask.to(text.dtype)])
        around = F.pad(here, (1, 1, 1, 1))
        others = [around[..., 1 + y :, 1 + x :][..., :height, :width] for y, x in WITHIN]
        if finer is not None:
            below = F.pad(finer, (0, 2 * width - finer.shape[-1], 0, 2 * height - finer.shape[-2]))
            others += [below[..., y::2, x::2] for y, x in ACROSS]
        other, other_mask = torch.stack(others, dim=2)
        linked.append((other == text[:, None]) & (other > 0))
        learnt.append((other_mask > 0) & (mask[:, None] > 0))
        finer = here
    return linked, learnt


def _flat(levels: list[Tensor]) -> Tensor:
    return torch.cat([level.flatten() for level in levels])
