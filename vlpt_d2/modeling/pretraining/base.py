"""What the pre-training meta-architectures share."""

import torch
from detectron2.config import CfgNode
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from ..pixels import ImageModel

__all__ = ["ImagePretraining"]


class ImagePretraining(ImageModel):
    """A backbone that learns from images and their words; its trunk is what is transferred.

    The backbone has its ResNet in ``backbone.bottom_up``, as all of this project do, so that
    checkpoints give their trunk to any detector.

    Attributes:
        metrics: of the last forward pass in training, to be logged: numbers or 0-d tensors, which
            are not finite where there was nothing to measure.
    """

    metrics: dict[str, torch.Tensor | float]

    @classmethod
    def build_evaluator(cls, cfg: CfgNode) -> DatasetEvaluator:
        """Build what evaluates the outputs in evaluation mode on a dataset of images and words."""
        raise NotImplementedError

    @staticmethod
    def mean_over_processes(counts: torch.Tensor) -> torch.Tensor:
        """Average counts over the processes, whose gradients are averaged too.

        A sum of losses over this mean gives the mean over all items, in losses and gradients.

        Args:
            counts: of this process; any shape.

        Returns:
            Tensor: float64, the same in all processes.
        """
        counts = counts.double()
        if comm.get_world_size() > 1:
            torch.distributed.all_reduce(counts)
            counts = counts / comm.get_world_size()
        return counts
