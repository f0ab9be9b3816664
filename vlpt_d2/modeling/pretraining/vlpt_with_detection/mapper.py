"""The pre-training sample with label maps beside the caption."""

import numpy as np
import torch
from detectron2.config import CfgNode, configurable

from ....data.mapper import MAPPER_REGISTRY
from ....data.transforms import clip_polygons, polygons_from_annotations
from ...detection import build_label_function
from ...detection.text_head import LabelFunction
from ..vlpt.mapper import PretrainMapper

__all__ = ["RegionsMapper"]


@MAPPER_REGISTRY.register()
class RegionsMapper(PretrainMapper):
    """A :class:`~.pretrain_mapper.PretrainMapper` whose samples also say where the texts are.

    Polygons follow the image through the squash and the rotation; what falls off its border is
    cut as in the detectors' mapper.
    """

    @configurable
    def __init__(self, *, label_function: LabelFunction | None, min_visible: float, **pretrain):
        """
        Args:
            label_function: draws the target maps; None at test time.
            min_visible: see :func:`~vlpt_d2.data.transforms.clip_polygons`.
            pretrain: of :class:`~.pretrain_mapper.PretrainMapper`.
        """
        super().__init__(**pretrain)
        self.label_function = label_function
        self.min_visible = min_visible

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict:
        return {
            **super().from_config(cfg, is_train),
            "label_function": build_label_function(cfg) if is_train else None,
            "min_visible": cfg.INPUT.DETECTION.MIN_VISIBLE,
        }

    def sample(self, dataset_dict: dict, image: torch.Tensor, annotations: list[dict]) -> dict:
        """Add to the pre-training sample.

        Returns:
            dict: in training also "targets", the label function's maps as tensors; at test time
            "regions", (N, 2) arrays in pixels of the image, and "regions_ignored", (regions,)
            bool.

        Raises:
            ValueError: a text has neither polygon nor box.
        """
        for annotation in annotations:
            if not annotation.get("segmentation") and "bbox" not in annotation:
                raise ValueError(
                    f"{dataset_dict.get('file_name')}: the text {annotation.get('text')!r} has "
                    "neither polygon nor box; MODEL.META_ARCHITECTURE VLPTWithDetection needs one "
                    "for each, VLPT takes texts alone"
                )
        size = tuple(image.shape[-2:])
        polygons, ignore, _ = polygons_from_annotations(annotations)
        polygons, ignore = clip_polygons(polygons, ignore, size, self.min_visible)
        sample = super().sample(dataset_dict, image, annotations)
        if self.label_function is None:
            return {**sample, "regions": polygons, "regions_ignored": np.asarray(ignore, bool)}
        targets = self.label_function(polygons, ignore, size)
        return {**sample, "targets": {k: torch.from_numpy(v) for k, v in targets.items()}}
