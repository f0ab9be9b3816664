"""Augmentations that keep image and texts in step."""

from .augmentation import (
    AffineTransform,
    RandomHorizontalFlip,
    RandomScale,
    RandomTextCrop,
    RandomTextRotation,
    TextAugInput,
)
from .build import build_detection_augmentation, build_pretrain_augmentation
from .colour import RandomHue
from .resize import RandomAspect, ResizeForTest, ResizeShortSide, ResizeToSize
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
    "ResizeToSize",
    "TextAugInput",
    "build_detection_augmentation",
    "build_pretrain_augmentation",
]
