"""Dataset dict -> image and texts: the first step of every mapper."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import shapely
import torch
from detectron2.config import CfgNode
from detectron2.data.detection_utils import SizeMismatchError
from detectron2.data.transforms import Augmentation, AugmentationList
from detectron2.utils.logger import log_first_n

from ..structures import TextInstances
from .annotations import check_annotations
from .image_io import CorruptImageError, image_source, read_image
from .transforms import TextAugInput, build_pretrain_augmentation

__all__ = [
    "CorruptImageError",
    "PretrainImages",
    "check_places",
    "image_to_tensor",
    "load_sample",
    "repair_texts",
]


def load_sample(
    dataset_dict: dict[str, Any], image_format: str, restore_size: bool = True
) -> tuple[np.ndarray, TextInstances]:
    """Read, or render, the image of a dataset dict, and read its annotations.

    Args:
        dataset_dict: detectron2's standard dict, which is not changed. Optional keys matter here:
            ``"render"``, the recipe of an image that is drawn on the fly instead of read from
            ``file_name``; ``"image_bytes"``, the image's file where it is in memory already; and
            ``"restore_size"``, the original (height, width) if the stored image is a resized copy.
        image_format: channel order of the result, ``"RGB"`` or ``"BGR"``.
        restore_size: whether to resize image and texts to the dict's ``"restore_size"``
            (``cfg.DATASETS.RESTORE_SIZE``).

    Returns:
        The image, (H, W, 3) uint8, and its texts in its pixels, as they are annotated.

    Raises:
        FileNotFoundError: ``file_name`` does not exist.
        CorruptImageError: see :func:`~vlpt_d2.data.image_io.read_image`.
        SizeMismatchError: the image's size is not that of the dict (a ``ValueError``).
        ValueError: see :func:`~.annotations.check_annotations`.
    """
    if "render" in dataset_dict:
        # Imported here: files need neither fonts nor a renderer.
        from .rendering import render_sample

        image, texts = render_sample(dataset_dict["render"])
        return _from_rgb(image, image_format), texts
    check_annotations(dataset_dict)
    image = _read(dataset_dict, image_format)
    texts = TextInstances.from_annotations(dataset_dict.get("annotations", ()))
    target = dataset_dict.get("restore_size") if restore_size else None
    if target is not None and tuple(target) != image.shape[:2]:
        # Cubic, as the first resize blurred already; a stretch by a few tenths has no aliasing.
        height, width = target
        scale = np.divide((width, height), image.shape[1::-1])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
        texts = texts.mapped(lambda points: points * scale)
    return image, texts


def repair_texts(texts: TextInstances, file_name: str | None) -> TextInstances:
    """Repair the polygons of an image for training; warn where there is something to repair."""
    texts, faults = texts.repaired()
    if faults:
        log_first_n(
            logging.WARNING,
            f"{file_name}: {faults} polygons cross themselves, repeat points or have no area; "
            "they are repaired, or left out",
            n=10,
        )
    return texts


def check_places(texts: TextInstances, file_name: str | None) -> None:
    """Check that every text has a polygon or a box.

    Raises:
        ValueError: one has neither.
    """
    for polygon, word in zip(texts.polygons, texts.words):
        if not len(polygon):
            raise ValueError(
                f"{file_name}: the text {word!r} has neither polygon nor box, and the labels of a "
                "detector need one for each. Leave the annotation out; VLPT, oCLIP and STKM take "
                "words alone"
            )


class PretrainImages:
    """Read images and their texts for a pre-training; every text stays whole.

    Images are resized to one size (the aspect ratio is not kept) and, in training, rotated. They
    are never cropped or flipped: the words must stay those of the image. Words of which no pixel
    shows anything are left out: those outside their image, and those turned out of it.
    """

    def __init__(
        self,
        *,
        image_format: str,
        augmentations: Sequence[Augmentation],
        restore_size: bool = True,
    ):
        """
        Args:
            image_format: channel order, "RGB" or "BGR".
            augmentations: of :func:`~.transforms.build_pretrain_augmentation`.
            restore_size: see :func:`load_sample`.
        """
        self.image_format = image_format
        self.augmentations = AugmentationList(augmentations)
        self.restore_size = restore_size

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool) -> PretrainImages:
        """Read INPUT.FORMAT, INPUT.PRETRAIN and DATASETS.RESTORE_SIZE."""
        return cls(
            image_format=cfg.INPUT.FORMAT,
            augmentations=build_pretrain_augmentation(cfg, is_train),
            restore_size=cfg.DATASETS.RESTORE_SIZE,
        )

    def __call__(self, dataset_dict: dict[str, Any]) -> tuple[dict[str, Any], TextInstances]:
        """
        Args:
            dataset_dict: in detectron2's format.

        Returns:
            A sample with "image", (3, H, W) uint8, and "file_name", "image_id", "height" and
            "width" of the source; and the texts in the image's pixels, repaired, of which
            something can be seen, not cut at its border.
        """
        image, texts = load_sample(dataset_dict, self.image_format, self.restore_size)
        sample = {
            "file_name": dataset_dict.get("file_name"),
            "image_id": dataset_dict.get("image_id"),
            "height": image.shape[0],
            "width": image.shape[1],
        }
        sample["image"], texts = self.augment(image, repair_texts(texts, sample["file_name"]))
        return sample, texts

    def augment(
        self, image: np.ndarray, texts: TextInstances
    ) -> tuple[torch.Tensor, TextInstances]:
        """Do the same with an (H, W, 3) uint8 image that has been read, and its texts."""
        height, width = image.shape[:2]
        inputs = TextAugInput(image, texts, min_visible=None)
        transforms = self.augmentations(inputs)
        # What a rotation turned in from outside the image is black.
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
        shown = shapely.intersection(
            shapely.Polygon(transforms.apply_coords(corners)),
            shapely.box(0, 0, *inputs.image_size[::-1]),
        )
        return image_to_tensor(inputs.image), inputs.texts.visible(shown)


def image_to_tensor(image: np.ndarray) -> torch.Tensor:
    """Turn an (H, W, 3) image into a contiguous (3, H, W) tensor."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def _read(dataset_dict: dict[str, Any], image_format: str) -> np.ndarray:
    name = dataset_dict["file_name"]
    try:
        image = read_image(image_source(dataset_dict), name, image_format)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{name}: no such image. Check DETECTRON2_DATASETS, or make the dataset whole again "
            "(datasets/README.md has the expected tree)."
        ) from error
    expected = (
        dataset_dict.get("height", image.shape[0]),
        dataset_dict.get("width", image.shape[1]),
    )
    if image.shape[:2] != expected:
        raise SizeMismatchError(
            f"{name}: the image is {image.shape[1]}x{image.shape[0]}, its dataset has "
            f"{expected[1]}x{expected[0]} (width x height). The coordinates of its ground truth "
            "would be wrong: restore the original image, or scale the ground truth with it."
        )
    return image


def _from_rgb(image: np.ndarray, image_format: str) -> np.ndarray:
    if image_format == "RGB":
        return image
    if image_format == "BGR":
        return np.ascontiguousarray(image[:, :, ::-1])
    raise ValueError(f"rendered images come as RGB or BGR, not as {image_format!r}")
