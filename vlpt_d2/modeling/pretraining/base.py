"""What the pre-training meta-architectures share."""

from collections.abc import Mapping

import torch
from detectron2.config import CfgNode
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage, has_event_storage

from ..pixels import ImageModel

__all__ = ["ImagePretraining"]


class ImagePretraining(ImageModel):
    """A backbone that learns from images and their words; its trunk is what is transferred.

    The backbone has its ResNet in ``backbone.bottom_up``, as all of this project do, so that
    checkpoints give their trunk to any detector.
    """

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

    @staticmethod
    def log_metrics(metrics: Mapping[str, torch.Tensor]) -> None:
        """Put 0-d tensors into the trainer's event storage, where there is one and they are finite.

        Args:
            metrics: by name.
        """
        if not has_event_storage():
            return
        storage = get_event_storage()
        for name, value in metrics.items():
            if torch.isfinite(value):
                storage.put_scalar(name, value.item())
