"""The sizes that detectors are tested at; without torch or detectron2."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

__all__ = ["MODES", "SizeForTest", "resize"]

MODES = ("fixed", "short", "height", "native")


@dataclass(frozen=True)
class SizeForTest:
    """One of the rules text detectors are tested with.

    Attributes:
        mode: "fixed": to ``size``, whatever the aspect ratio; "short": short side to ``size[0]``,
            both sides up to multiples of ``divisor`` (PSENet); "height": height to ``size[0]``,
            width up to a multiple of ``divisor`` (DB); "native": as it is, but both sides down to
            multiples of ``divisor`` (EAST).
        size: (H, W).
        max_size: the long side's limit, but in "fixed" mode; 0 for none.
        divisor: see ``mode``.

    Raises:
        ValueError: unknown mode, or a side of ``size`` that the mode uses is not positive.
    """

    mode: str
    size: tuple[int, int]
    max_size: int = 0
    divisor: int = 32

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"INPUT.DETECTION.TEST_RESIZE is one of {MODES}, not {self.mode!r}")
        used = {"fixed": 2, "native": 0}.get(self.mode, 1)
        if min(self.size[:used], default=1) < 1:
            raise ValueError(
                f"INPUT.DETECTION.TEST_SIZE is {self.size}; its sides must be at least 1"
            )

    def __call__(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return the (H, W) that an image of (H, W) is resized to."""
        if self.mode == "fixed":
            return self.size[0], self.size[1]
        height, width = image_size
        scale = 1.0
        if self.mode != "native":
            scale = self.size[0] / (height if self.mode == "height" else min(image_size))
        limit = scale
        if self.max_size:
            limit = min(scale, self.max_size / max(image_size))
        if self.mode == "native":
            return self._down(height * limit), self._down(width * limit)
        if self.mode == "height" and limit == scale:
            return self.size[0], self._up(width * scale)
        return self._up(height * limit), self._up(width * limit)

    def _up(self, side: float) -> int:
        return max(1, math.ceil(side / self.divisor - 1e-6)) * self.divisor

    def _down(self, side: float) -> int:
        return max(1, math.floor(side / self.divisor + 1e-6)) * self.divisor


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an (H, W, 3) uint8 image to (H, W), as detectron2's ``ResizeTransform`` does."""
    if image.shape[:2] == tuple(size):
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
