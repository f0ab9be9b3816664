"""Augmentations that keep image and text polygons in step."""

from .affine import AffineTransform, TextAugInput
from .augmentation import (
    RandomAspect,
    RandomHorizontalFlip,
    RandomScale,
    RandomTextCrop,
    RandomTextRotation,
    ResizeForTest,
    ResizeShortSide,
)
from .build import build_detection_augmentation
from .colour import RandomHue
from .polygon import clip_polygons, polygon_parts, polygons_from_annotations, rings_of
from .window import RandomTextWindow

__all__ = [
    "AffineTransform",
    "RandomAspect",
    "RandomHorizontalFlip",
    "RandomHue",
    "RandomScale",
    "RandomTextCrop",
    "RandomTextRotation",
    "RandomTextWindow",
    "ResizeForTest",
    "ResizeShortSide",
    "TextAugInput",
    "build_detection_augmentation",
    "clip_polygons",
    "polygon_parts",
    "polygons_from_annotations",
    "rings_of",
]
