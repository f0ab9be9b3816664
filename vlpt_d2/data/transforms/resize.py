"""Resizes: to the pre-training's size, to the sizes detectors are tested at, and by a factor."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from detectron2.data.transforms import NoOpTransform, ResizeTransform
from fvcore.transforms.transform import Transform

from ..sizes import SizeForTest
from .augmentation import AffineTransform, SizeAugmentation, resize_by


class AveragingResize(AffineTransform):
    """Resize from (H, W) to (H, W) by averaging; the aspect ratio may change."""

    postponed = False

    def __init__(self, old_size: Sequence[int], new_size: Sequence[int]):
        scale_y, scale_x = np.divide(new_size, old_size)
        super().__init__(np.array([[scale_x, 0, 0], [0, scale_y, 0]]), new_size)

    def apply_image(self, image: np.ndarray, interp: int | None = None) -> np.ndarray:
        """Resize an (H, W) or (H, W, C) image by averaging, or by OpenCV's ``interp``."""
        height, width = self.output_size
        if interp is not None:
            return cv2.resize(image, (width, height), interpolation=interp)
        smaller = (min(width, image.shape[1]), min(height, image.shape[0]))
        # INTER_AREA averages only where no side grows, so sides grow in a second step.
        if smaller != image.shape[1::-1]:
            image = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
        if smaller != (width, height):
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        return image


class ResizeToSize(SizeAugmentation):
    """Resize to one size (H, W) without keeping the aspect ratio: the pre-training's resize."""

    def __init__(self, size: tuple[int, int]):
        super().__init__()
        self.size = tuple(size)

    def get_transform(self, image_size: tuple[int, int]) -> Transform:
        """Return the resize of an image of (H, W)."""
        return AveragingResize(image_size, self.size)


class ResizeShortSide(SizeAugmentation):
    """Bring the short side to a length, keeping the aspect ratio."""

    def __init__(self, short_side: int):
        super().__init__()
        self.short_side = short_side

    def get_transform(self, image_size: tuple[int, int]) -> Transform:
        """Return the resize of an image of (H, W)."""
        scale = self.short_side / min(image_size)
        return resize_by(image_size, (scale, scale))


class RandomAspect(SizeAugmentation):
    """Change height / width by a factor from a range; the area stays."""

    def __init__(self, aspect_range: tuple[float, float]):
        super().__init__()
        self.aspect_range = tuple(aspect_range)

    def get_transform(self, image_size: tuple[int, int]) -> Transform:
        """Draw the factor for an image of (H, W)."""
        stretch = math.sqrt(self._rand_range(*self.aspect_range))
        return resize_by(image_size, (stretch, 1 / stretch))


class ResizeForTest(SizeAugmentation):
    """Resize by one of the rules text detectors are tested with: those of :class:`SizeForTest`."""

    def __init__(self, mode: str, size: tuple[int, int], max_size: int = 0, divisor: int = 32):
        super().__init__()
        self.rule = SizeForTest(mode, size, max_size, divisor)

    def get_transform(self, image_size: tuple[int, int]) -> Transform:
        """Return the resize of an image of (H, W)."""
        size = self.rule(image_size)
        if size == tuple(image_size):
            return NoOpTransform()
        return ResizeTransform(*image_size, *size)
