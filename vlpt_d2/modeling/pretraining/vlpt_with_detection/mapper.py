"""The pre-training sample with label maps in addition to the caption."""

from detectron2.config import CfgNode, configurable

from ....data.mapper import MAPPER_REGISTRY
from ....data.sample import check_places
from ....structures import TextInstances
from ...detection import build_label_function
from ...detection.mapper import as_tensors
from ...detection.text_head import LabelFunction
from ..vlpt.mapper import PretrainMapper

__all__ = ["RegionsMapper"]


@MAPPER_REGISTRY.register()
class RegionsMapper(PretrainMapper):
    """A :class:`~..vlpt.mapper.PretrainMapper` whose samples also say where the texts are.

    Their polygons are cut at the border of the resized and rotated image, as in the detectors'
    mapper.
    """

    @configurable
    def __init__(self, *, label_function: LabelFunction | None, min_visible: float, **pretrain):
        """
        Args:
            label_function: draws the target maps; None at test time.
            min_visible: see :meth:`~vlpt_d2.structures.TextInstances.cut`.
            pretrain: of :class:`~..vlpt.mapper.PretrainMapper`.
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

    def sample(self, sample: dict, texts: TextInstances) -> dict:
        """Add to the pre-training sample.

        Returns:
            dict: in training also "targets", the label function's maps as tensors; at test time
            "regions", :class:`~vlpt_d2.structures.TextInstances` in pixels of the image.

        Raises:
            ValueError: a text has neither polygon nor box.
        """
        check_places(texts, sample["file_name"])
        size = tuple(sample["image"].shape[-2:])
        regions = texts.cut(size, self.min_visible)
        sample = super().sample(sample, texts)
        if self.label_function is None:
            return {**sample, "regions": regions}
        return {**sample, "targets": as_tensors(self.label_function(regions, size))}
