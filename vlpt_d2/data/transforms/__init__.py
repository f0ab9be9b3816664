"""Augmentations that keep image and text polygons in step."""

from .affine import AffineTransform, TextAugInput
from .augmentation import (
    RandomHorizontalFlip,
    RandomScale,
    RandomTextCrop,
    RandomTextRotation,
    ResizeForTest,
)
from .build import build_detection_augmentation
from .polygon import clip_polygons, polygon_parts, polygons_from_annotations

__all__ = [
    "AffineTransform",
    "RandomHorizontalFlip",
    "RandomScale",
    "RandomTextCrop",
    "RandomTextRotation",
    "ResizeForTest",
    "TextAugInput",
    "build_detection_augmentation",
    "clip_polygons",
    "polygon_parts",
    "polygons_from_annotations",
]
