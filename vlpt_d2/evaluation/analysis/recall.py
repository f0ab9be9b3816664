"""Recall by the height, aspect, orientation and length of texts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..formats import ImageTexts
from ..protocols import ImageResult
from .failures import sides

__all__ = ["Slice", "recall_by"]

# Lower bounds of the bins. Heights in pixels, aspects long side over short side, angles of the long
# side in degrees, lengths in characters.
_BINS: dict[str, tuple[float, ...]] = {
    "height": (0, 8, 12, 16, 24, 32, 48, 96),
    "aspect": (1, 1.5, 2.5, 4, 6, 10),
    "orientation": (0, 5, 15, 30, 60, 85),
    "length": (1, 2, 3, 4, 6, 8, 11),
}


@dataclass
class Slice:
    """Texts of one bin.

    Attributes:
        label: such as "8-12".
        total: texts that count.
        found: those of them with a match.
    """

    label: str
    total: int = 0
    found: int = 0


def recall_by(
    images: Iterable[ImageTexts], results: Iterable[ImageResult]
) -> dict[str, list[Slice]]:
    """Count texts that count, and those with a match, in bins.

    Returns:
        "height", "aspect", "orientation" and "length" to their bins; empty bins are left out, as is
        "length" where no text has a transcription. The shares are those of texts with any match:
        for protocols of credits they are no score.
    """
    bins = {
        name: [Slice(_label(lows, i, name == "length")) for i in range(len(lows))]
        for name, lows in _BINS.items()
    }
    for image, result in zip(images, results, strict=True):
        found, ignored = {gt for gt, _, _ in result.matches}, set(result.ignored_gt)
        for index, points in enumerate(image.gt_polygons):
            if index in ignored:
                continue
            long, short, angle = sides(points)
            values = {
                "height": short,
                "aspect": long / short if short > 0 else float("inf"),
                "orientation": angle,
                "length": len(image.gt_texts[index]),
            }
            for name, value in values.items():
                if name == "length" and value == 0:
                    continue
                slot = bins[name][_bin(_BINS[name], value)]
                slot.total += 1
                slot.found += index in found
    filled = {name: [s for s in slices if s.total] for name, slices in bins.items()}
    return {name: slices for name, slices in filled.items() if slices}


def _bin(lows: tuple[float, ...], value: float) -> int:
    return max(0, sum(value >= low for low in lows) - 1)


def _label(lows: tuple[float, ...], index: int, whole: bool) -> str:
    """The upper bound belongs to the next bin, but of whole numbers the last one is named."""
    if index + 1 == len(lows):
        return f"{lows[index]:g}+"
    high = lows[index + 1] - whole
    return f"{lows[index]:g}" if high == lows[index] else f"{lows[index]:g}-{high:g}"
