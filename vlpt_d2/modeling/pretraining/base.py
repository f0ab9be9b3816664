"""What the pre-training meta-architectures share."""

from collections.abc import Mapping

import torch
from detectron2.config import CfgNode
from detectron2.evaluation import DatasetEvaluator
from detectron2.modeling import Backbone
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage, has_event_storage
from torch import nn

from ..pixels import normalise_images

__all__ = ["ImagePretraining"]


class ImagePretraining(nn.Module):
    """A backbone that learns from images and their words; its trunk is what is transferred.

    The backbone has its ResNet in ``backbone.bottom_up``, as all of this project do, so that
    checkpoints give their trunk to any detector.
    """

    pixel_mean: torch.Tensor
    pixel_std: torch.Tensor

    def __init__(self, *, backbone: Backbone, pixel_mean: list[float], pixel_std: list[float]):
        """
        Args:
            backbone: follows detectron2's backbone interface.
            pixel_mean: of each channel, in [0, 255], in the channel order of INPUT.FORMAT.
            pixel_std: likewise.
        """
        super().__init__()
        self.backbone = backbone
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(-1, 1, 1), False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(-1, 1, 1), False)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode) -> DatasetEvaluator:
        """Build what evaluates the outputs in evaluation mode on a dataset of images and words."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.pixel_mean.device

    def preprocess_images(self, samples: list[dict]) -> torch.Tensor:
        """Normalise, pad to the backbone's divisibility and stack to (N, 3, H, W)."""
        images = [s["image"] for s in samples]
        return normalise_images(
            images, self.pixel_mean, self.pixel_std, self.backbone.size_divisibility
        ).tensor

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
