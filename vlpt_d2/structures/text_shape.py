"""Size, aspect and orientation of texts, and the bins in which they are counted."""

from __future__ import annotations

import bisect
import math

import cv2
import numpy as np

__all__ = ["BINS", "bin_index", "bin_label", "bins_of", "sides"]

#: Lower bounds of the bins. Heights in pixels, aspects long side over short side, angles of the
#: long side in degrees, lengths in characters.
BINS: dict[str, tuple[float, ...]] = {
    "height": (0, 8, 12, 16, 24, 32, 48, 96),
    "aspect": (1, 1.5, 2.5, 4, 6, 10),
    "orientation": (0, 5, 15, 30, 60, 85),
    "length": (1, 2, 3, 4, 6, 8, 11),
}


def sides(points: np.ndarray) -> tuple[float, float, float]:
    """Measure the rotated rectangle of least area around a polygon.

    Args:
        points: (N, 2) in pixels.

    Returns:
        The long side and the short side in pixels (the short one is the height of a text), and the
        angle between the long side and the horizontal in degrees, in [0, 90].
    """
    points = np.asarray(points, dtype=np.float32).reshape(-1, 2)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) < 2:
        return 0.0, 0.0, 0.0
    corners = cv2.boxPoints(cv2.minAreaRect(points))
    edges = np.diff(corners[:3], axis=0)
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    along = edges[int(np.argmax(lengths))]
    angle = float(np.degrees(np.arctan2(abs(along[1]), abs(along[0]))))
    return float(lengths.max()), float(lengths.min()), angle


def bins_of(points: np.ndarray, text: str) -> dict[str, int]:
    """Name -> the bin of :data:`BINS` a text is in; no "length" where it has no transcription."""
    long, short, angle = sides(points)
    values = {
        "height": short,
        "aspect": long / short if short > 0 else math.inf,
        "orientation": angle,
    }
    if text:
        values["length"] = len(text)
    return {name: bin_index(BINS[name], value) for name, value in values.items()}


def bin_index(lows: tuple[float, ...], value: float) -> int:
    """The bin of a value: the last whose lower bound it reaches, or the first."""
    return max(0, bisect.bisect_right(lows, value) - 1)


def bin_label(lows: tuple[float, ...], index: int, whole: bool = False) -> str:
    """Name a bin; the upper bound belongs to the next, but of whole numbers the last is named."""
    if index + 1 == len(lows):
        return f"{lows[index]:g}+"
    high = lows[index + 1] - whole
    return f"{lows[index]:g}" if high == lows[index] else f"{lows[index]:g}-{high:g}"
