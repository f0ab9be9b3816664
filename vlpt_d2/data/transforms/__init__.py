"""Augmentations that keep image and texts in step."""

from .affine import AffineTransform, AveragingResize, TextAugInput
from .augmentation import (
    RandomAspect,
    RandomHorizontalFlip,
    RandomScale,
    RandomTextCrop,
    RandomTextRotation,
    ResizeForTest,
    ResizeShortSide,
    ResizeToSize,
)
from .build import build_detection_augmentation, build_pretrain_augmentation
from .colour import RandomHue
from .window import RandomTextWindow

__all__ = [
    "AffineTransform",
    "AveragingResize",
    "RandomAspect",
    "RandomHorizontalFlip",
    "RandomHue",
    "RandomScale",
    "RandomTextCrop",
    "RandomTextRotation",
    "RandomTextWindow",
    "ResizeForTest",
    "ResizeShortSide",
    "ResizeToSize",
    "TextAugInput",
    "build_detection_augmentation",
    "build_pretrain_augmentation",
]
