"""What the decoding of an image's maps returns."""

from collections import Counter
from dataclasses import dataclass, field

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
