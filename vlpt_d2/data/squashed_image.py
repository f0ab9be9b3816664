"""The image side of the pre-training mappers: read, squash, rotate."""

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode

from .sample import load_sample

__all__ = ["SquashedImages", "rotate_image"]


def rotate_image(image: np.ndarray, degrees: float) -> np.ndarray:
    """Rotate about the centre, counter-clockwise, keeping the size; corners become black."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)


class SquashedImages:
    """Read an image and its words, squash it to one size without keeping its aspect, rotate it.

    Images are never cropped or flipped: the words must stay those of the image.
    """

    def __init__(
        self,
        *,
        image_format: str,
        size: tuple[int, int],
        rotation: float = 0.0,
        restore_size: bool = True,
    ):
        """
        Args:
            image_format: channel order, "RGB" or "BGR".
            size: (height, width) of the output.
            rotation: largest angle in degrees; 0 at test time.
            restore_size: see :func:`~vlpt_d2.data.sample.load_sample`.
        """
        self.image_format = image_format
        self.size = tuple(size)
        self.rotation = rotation
        self.restore_size = restore_size

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool) -> "SquashedImages":
        """Read INPUT.FORMAT, INPUT.PRETRAIN and DATASETS.RESTORE_SIZE; rotate in training only."""
        return cls(
            image_format=cfg.INPUT.FORMAT,
            size=cfg.INPUT.PRETRAIN.SIZE,
            rotation=cfg.INPUT.PRETRAIN.ROTATION if is_train else 0.0,
            restore_size=cfg.DATASETS.RESTORE_SIZE,
        )

    def __call__(self, dataset_dict: dict) -> tuple[torch.Tensor, list[dict]]:
        """
        Args:
            dataset_dict: in detectron2's format; may be changed.

        Returns:
            The image, uint8 (3, H, W), and the annotations of the image as it was read.
        """
        image, annotations = load_sample(dataset_dict, self.image_format, self.restore_size)
        height, width = self.size
        shrinks = image.shape[0] > height or image.shape[1] > width
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        if image.shape[:2] != self.size:
            image = cv2.resize(image, (width, height), interpolation=interpolation)
        if self.rotation:
            # numpy's global generator, which the loader seeds for each training sample.
            image = rotate_image(image, np.random.uniform(-self.rotation, self.rotation))
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), annotations
