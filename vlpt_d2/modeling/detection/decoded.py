"""What the decoding of an image's maps returns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

__all__ = ["DecodedTexts", "largest"]


@dataclass
class DecodedTexts:
    """The texts of one image.

    Attributes:
        polygons: (N, 2) float32 arrays of (x, y) pixels of the network's input, which may reach
            beyond it; N = 4 of rectangles, clockwise on screen.
        scores: float32 in [0, 1], one for each.
        counts: how many of what there were, by name ("candidates"), and how many of them a limit
            left out ("dropped_candidates"); see :meth:`~.text_head.TextHead.report_limits`.
        words: what was read, one for each; None of heads that do not read.
    """

    polygons: list[np.ndarray]
    scores: np.ndarray
    counts: Counter[str] = field(default_factory=Counter)
    words: list[str] | None = None

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


def largest(kept: np.ndarray, sizes: np.ndarray, limit: int) -> tuple[np.ndarray, Counter[str]]:
    """Choose the ``limit`` largest of what a decoding has found, or all for 0.

    Args:
        kept: numbers of what was found, rising.
        sizes: by number.
        limit: see above; of equal sizes the first.

    Returns:
        The chosen numbers, rising, and :attr:`DecodedTexts.counts`.
    """
    dropped = max(0, len(kept) - limit) if limit else 0
    counts = Counter(candidates=len(kept), dropped_candidates=dropped)
    if dropped:
        kept = np.sort(kept[np.argsort(-sizes[kept], kind="stable")[:limit]])
    return kept, counts
