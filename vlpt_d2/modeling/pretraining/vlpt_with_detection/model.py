"""VLPT with a detector's loss: it learns from words and from boxes.

The paper leaves this open; it compares the two only one by one (its table 6).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY

from ...detection import TextHead, build_text_head, stack_targets
from ..multi_task import MicroBatchContext
from ..vlpt.model import VLPT
from .evaluator import RegionsEvaluator

__all__ = ["VLPTWithDetection"]


@META_ARCH_REGISTRY.register()
class VLPTWithDetection(VLPT):
    """One trunk that feeds VLPT's image encoder and a text head.

    Samples are those of :class:`~.mapper.RegionsMapper`. The head is named as
    in :class:`~vlpt_d2.modeling.detection.TextDetector`, so a checkpoint gives a detector with
    the same head both its trunk and its head.
    """

    @configurable
    def __init__(self, *, text_head: TextHead, region_weight: float = 1.0, **vlpt: Any):
        """
        Args:
            text_head: reads the trunk's maps.
            region_weight: factor on the head's losses.
            vlpt: see :class:`~..vlpt.VLPT`; the backbone gives ``trunk_maps`` and ``pool_maps``.
        """
        super().__init__(**vlpt)
        self.text_head = text_head
        self.region_weight = region_weight

    @classmethod
    def build_evaluator(cls, cfg: CfgNode) -> RegionsEvaluator:
        return RegionsEvaluator(cfg)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        """Read MODEL.TEXT_HEAD and MODEL.REGIONS in addition to VLPT's keys."""
        parts = super().from_config(cfg)
        return {
            **parts,
            "text_head": build_text_head(cfg, parts["backbone"].bottom_up.output_shape()),
            "region_weight": cfg.MODEL.REGIONS.WEIGHT,
        }

    def forward(
        self,
        samples: list[dict],
        context: MicroBatchContext | None = None,
        region_share: float = 1.0,
    ) -> dict[str, torch.Tensor] | list[dict]:
        """
        Args:
            samples: in training with "targets".
            context: of :meth:`prepare_accumulation`.
            region_share: factor on the head's losses, of which micro-batches have a share each.

        Returns:
            In training VLPT's losses and the head's, all weighted, the latter named
            ``loss_region_<name>``; else one dict for each sample: VLPT's tensors, and
            "region_polygons", the texts found, as (N, 2) arrays in pixels of its image.
        """
        images = self.preprocess_images(samples).tensor
        maps = self.backbone.trunk_maps(images)
        visual = self.visual_tokens(self.backbone.pool_maps(maps))
        encoded = self.with_captions(*visual, self.tokens(samples))
        if not self.training:
            found = self.find_regions(maps, samples)
            return [
                measured | {"region_polygons": polygons}
                for measured, polygons in zip(self.evaluate(encoded), found)
            ]
        losses = self.task_losses(encoded, context)
        self.metrics |= self.sample_metrics(samples)
        size, stride = images.shape[-2:], self.text_head.target_stride
        head = self.text_head(maps, stack_targets(samples, size, stride, self.device))
        factor = self.region_weight * region_share
        for name, loss in head.items():
            losses[f"loss_region_{name.removeprefix('loss_')}"] = factor * loss
        return losses

    def find_regions(self, maps: dict[str, torch.Tensor], samples: list[dict]) -> list[list]:
        """Decode the head's maps of the trunk's maps to the polygons of each image."""
        predicted = self.text_head(maps)
        found = []
        for i, sample in enumerate(samples):
            maps_of_image = {name: m[i] for name, m in predicted.items()}
            decoded = self.text_head.decode(maps_of_image, tuple(sample["image"].shape[-2:]))
            self.text_head.count(decoded)
            found.append(decoded.polygons)
        return found

    def prepare_accumulation(
        self, micro_batches: list[list[dict]], seeded: Callable[[int], AbstractContextManager]
    ) -> list[dict]:
        """As VLPT's; the head's losses are means over the micro-batches."""
        share = 1 / len(micro_batches)
        return [
            {**keywords, "region_share": share}
            for keywords in super().prepare_accumulation(micro_batches, seeded)
        ]
