"""What the decoding of an image's maps returns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

__all__ = ["DecodedTexts"]


@dataclass
class DecodedTexts:
    """The texts of one image.

    Attributes:
        polygons: (N, 2) float32 arrays of (x, y) pixels of the network's input.
        scores: float32 in [0, 1], one for each.
        words: what was read, one for each; None of heads that do not read.
        counts: what the decoding left out, by name, and of how many: see
            :meth:`~.text_head.TextHead.report_limits`.
    """

    polygons: list[np.ndarray]
    scores: np.ndarray
    words: list[str] | None = None
    counts: Counter[str] = field(default_factory=Counter)

    def resized(self, size: tuple[int, int], image_size: tuple[int, int]) -> DecodedTexts:
        """Return the texts of an image of (H, W) in the pixels of one of another (H, W)."""
        (height, width), limit = size, np.asarray(image_size[::-1])
        scale = np.divide(limit, (width, height)).astype(np.float32)
        # Point by point, so that a rectangle keeps its four points (as MhLiao/DB does).
        polygons = [np.clip(p * scale, 0, limit).astype(np.float32) for p in self.polygons]
        return replace(self, polygons=polygons)

    def at_least(self, score: float) -> DecodedTexts:
        """Return the texts of this score and higher ones."""
        return self.chosen(np.flatnonzero(self.scores >= score).tolist())

    def chosen(self, indices: list[int]) -> DecodedTexts:
        """Return the texts of these places, in their order."""
        return replace(
            self,
            polygons=[self.polygons[i] for i in indices],
            scores=self.scores[indices],
            words=None if self.words is None else [self.words[i] for i in indices],
        )
