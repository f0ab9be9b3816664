"""Recall by the height, aspect, orientation and length of texts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...structures.text_shape import BINS, bin_label, bins_of
from ..files import ImageTexts
from ..protocols import ImageResult

__all__ = ["recall_by"]


def recall_by(
    images: Iterable[ImageTexts], results: Iterable[ImageResult]
) -> dict[str, list[dict[str, Any]]]:
    """Count texts that count, and those with a match, in bins.

    Returns:
        "height", "aspect", "orientation" and "length" to their bins: each "bin" (a label such as
        "8-12"), "texts" (that count) and "found" (those with a match). Empty bins are left out, as
        is "length" where no text has a transcription. For protocols of credits the shares are no
        score.
    """
    bins: dict[str, list[dict[str, Any]]] = {
        name: [
            {"bin": bin_label(lows, i, name == "length"), "texts": 0, "found": 0}
            for i in range(len(lows))
        ]
        for name, lows in BINS.items()
    }
    for image, result in zip(images, results, strict=True):
        found, ignored = {gt for gt, _, _ in result.matches}, set(result.ignored_gt)
        for index, points in enumerate(image.gt_polygons):
            if index in ignored:
                continue
            for name, number in bins_of(points, image.gt_texts[index]).items():
                bins[name][number]["texts"] += 1
                bins[name][number]["found"] += index in found
    filled = {name: [s for s in slices if s["texts"]] for name, slices in bins.items()}
    return {name: slices for name, slices in filled.items() if slices}
