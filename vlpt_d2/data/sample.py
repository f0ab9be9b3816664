"""Dataset dict -> image and annotations: the first step of every mapper."""

from __future__ import annotations

import copy
from typing import Any

import cv2
import numpy as np
from detectron2.data.detection_utils import SizeMismatchError
from detectron2.structures import BoxMode

from .annotations import check_annotations
from .image_io import CorruptImageError, Source, read_image

__all__ = ["CorruptImageError", "image_source", "load_sample", "resize_annotations"]


def load_sample(
    dataset_dict: dict[str, Any], image_format: str, restore_size: bool = True
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Read, or render, the image of a dataset dict, and return its annotations beside it.

    Args:
        dataset_dict: detectron2's standard dict. Optional keys matter here: ``"render"``, the
            recipe of an image that is drawn on the fly instead of read from ``file_name``;
            ``"image_bytes"``, the image's file where it is in memory already; and
            ``"restore_size"``, the (height, width) of which the stored image is a squeezed copy.
            **Edited in place** (pass a copy): ``height`` and ``width`` are set to the size of the
            image that is returned.
        image_format: channel order of the result, ``"RGB"`` or ``"BGR"``.
        restore_size: whether to resize image and annotations to the dict's ``"restore_size"``
            (``cfg.DATASETS.RESTORE_SIZE``).

    Returns:
        The image, (H, W, 3) uint8, and a list of annotations in its pixels, safe to edit.

    Raises:
        FileNotFoundError: ``file_name`` does not exist.
        CorruptImageError: see :func:`~vlpt_d2.data.image_io.read_image`.
        SizeMismatchError: the image's size is not that of the dict (a ``ValueError``).
        ValueError: see :func:`~.annotations.check_annotations`.
    """
    if "render" in dataset_dict:
        # Imported here: files need neither fonts nor a renderer.
        from .rendering import render_sample

        image, annotations = render_sample(dataset_dict["render"])
        image = _from_rgb(image, image_format)
    else:
        check_annotations(dataset_dict)
        image = _read(dataset_dict, image_format)
        annotations = copy.deepcopy(dataset_dict.get("annotations", []))
        target = dataset_dict.get("restore_size") if restore_size else None
        if target is not None and tuple(target) != image.shape[:2]:
            height, width = image.shape[:2]
            # Cubic, as the squeeze blurred already; a stretch by a few tenths has no aliasing.
            image = cv2.resize(image, (target[1], target[0]), interpolation=cv2.INTER_CUBIC)
            annotations = resize_annotations(annotations, target[1] / width, target[0] / height)
    dataset_dict["height"], dataset_dict["width"] = image.shape[:2]
    return image, annotations


def resize_annotations(
    annotations: list[dict[str, Any]], scale_x: float, scale_y: float
) -> list[dict[str, Any]]:
    """Scale boxes and polygons about the image's corner.

    Args:
        annotations: annotations with ``bbox`` in ``bbox_mode`` and, if any, ``segmentation`` as
            polygons.
        scale_x: factor on every x.
        scale_y: factor on every y.

    Returns:
        New annotations, boxes as ``BoxMode.XYXY_ABS``.
    """
    scale = np.array([scale_x, scale_y])
    resized = []
    for annotation in annotations:
        box = BoxMode.convert(annotation["bbox"], annotation["bbox_mode"], BoxMode.XYXY_ABS)
        changed = {
            "bbox": (np.reshape(box, (2, 2)) * scale).ravel().tolist(),
            "bbox_mode": BoxMode.XYXY_ABS,
        }
        if rings := annotation.get("segmentation"):
            changed["segmentation"] = [
                (np.reshape(ring, (-1, 2)) * scale).ravel().tolist() for ring in rings
            ]
        resized.append(annotation | changed)
    return resized


def image_source(dataset_dict: dict[str, Any]) -> Source:
    """The image's file: its content where that is in memory, else its name."""
    return dataset_dict.get("image_bytes", dataset_dict["file_name"])


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
            f"{name}: the image is {image.shape[1]}x{image.shape[0]}, its dataset says "
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
