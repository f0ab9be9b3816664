"""Recall by the height, aspect, orientation and length of texts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...structures.text_shape import BINS, bin_label, bins_of
from ..files import ImageTexts
from ..protocols import ImageResult

__all__ = ["Slice", "recall_by"]


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
        name: [Slice(bin_label(lows, i, name == "length")) for i in range(len(lows))]
        for name, lows in BINS.items()
    }
    for image, result in zip(images, results, strict=True):
        found, ignored = {gt for gt, _, _ in result.matches}, set(result.ignored_gt)
        for index, points in enumerate(image.gt_polygons):
            if index in ignored:
                continue
            for name, number in bins_of(points, image.gt_texts[index]).items():
                bins[name][number].total += 1
                bins[name][number].found += index in found
    filled = {name: [s for s in slices if s.total] for name, slices in bins.items()}
    return {name: slices for name, slices in filled.items() if slices}
