"""What a dataset holds: counts, histograms, and images that cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..structures import TextInstances
from ..structures.text_shape import BINS, bin_index, bin_label, bins_of
from .datasets.report import ReadReport
from .sample import load_sample

__all__ = ["DatasetStatistics", "format_statistics", "measure_dataset"]

# Lower bounds: texts of an image, and the longer side of an image in pixels.
_IMAGE_BINS = {"texts": (0, 1, 2, 4, 8, 16, 32), "side": (0, 320, 640, 1024, 1600, 2400, 4000)}
_TITLES = {
    "height": "height of texts (short side, pixels)",
    "aspect": "aspect of texts (long side / short side)",
    "orientation": "orientation of texts (long side to the horizontal, degrees)",
    "length": "length of words (characters)",
    "texts": "texts of an image",
    "side": "longer side of images (pixels)",
}
_BAR = 40
_EXAMPLES = 3


@dataclass
class DatasetStatistics:
    """Counts of one dataset.

    Attributes:
        counts: images, texts, ignored texts and the like.
        histograms: name -> bin -> number; "height", "aspect", "orientation" and "length" of texts
            that are not ignored, "texts" and "side" of images.
        broken: the first images that could not be read, with the reason.
    """

    counts: Counter[str] = field(default_factory=Counter)
    histograms: dict[str, dict[str, int]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "counts": dict(self.counts),
            "histograms": self.histograms,
            "broken": self.broken,
        }


def measure_dataset(dicts: Iterable[dict[str, Any]], decode: bool = False) -> DatasetStatistics:
    """Count what a dataset holds.

    Args:
        dicts: dataset dicts. Rendered ones are drawn, as their texts are not known before.
        decode: also decode every image and compare its size.

    Returns:
        The statistics.
    """
    result = DatasetStatistics()
    bins = {name: np.zeros(len(lows), int) for name, lows in (BINS | _IMAGE_BINS).items()}
    for record in dicts:
        result.counts["images"] += 1
        texts, side = None, max(record["height"], record["width"])
        if decode or "render" in record:
            texts, side = _decoded(record, side, result)
        bins["side"][bin_index(_IMAGE_BINS["side"], side)] += 1
        if "annotations" not in record:
            result.counts["images without ground truth"] += 1
            continue
        if texts is None:
            texts = TextInstances.from_annotations(record["annotations"])
        bins["texts"][bin_index(_IMAGE_BINS["texts"], len(texts))] += 1
        ignored = int(texts.ignore.sum())
        result.counts["texts"] += len(texts)
        result.counts["ignored texts"] += ignored
        result.counts["images without a text"] += not len(texts)
        result.counts["images with ignored texts alone"] += 0 < ignored == len(texts)
        cared = texts[~texts.ignore]
        for polygon, word in zip(cared.polygons, cared.words):
            result.counts["texts without transcription"] += not word
            for name, number in bins_of(polygon, word).items():
                bins[name][number] += 1
    for name, lows in (BINS | _IMAGE_BINS).items():
        whole = name in ("length", "texts")
        if bins[name].any():
            result.histograms[name] = {
                bin_label(lows, i, whole): int(n) for i, n in enumerate(bins[name])
            }
    return result


def format_statistics(
    name: str, statistics: DatasetStatistics, reports: Iterable[ReadReport] = ()
) -> str:
    """Lay statistics out as text.

    Args:
        name: the dataset's.
        statistics: of :func:`measure_dataset`.
        reports: of the readers, for what was repaired and left out.
    """
    lines = [name]
    lines += [f"  {number:>9}  {what}" for what, number in statistics.counts.items() if number]
    for report in reports:
        for verb, number, fault, places in report.findings():
            lines.append(f"  {number:>9}  {verb}: {fault} ({places})")
    lines += [f"  cannot be read: {line}" for line in statistics.broken]
    for key, histogram in statistics.histograms.items():
        total = sum(histogram.values())
        lines += ["", _TITLES[key]]
        width = max(map(len, histogram))
        for label, number in histogram.items():
            bar = "#" * round(_BAR * number / max(histogram.values()))
            share = 100 * number / total
            lines.append(f"  {label:>{width}}  {number:>8}  {share:5.1f} %  {bar}".rstrip())
    return "\n".join(lines)


def _decoded(
    record: dict[str, Any], side: int, result: DatasetStatistics
) -> tuple[TextInstances | None, int]:
    """The texts as the mappers get them, and the image's longer side; a broken image is noted."""
    try:
        image, texts = load_sample(record, "RGB")
    except (OSError, ValueError, RuntimeError) as error:
        result.counts["images that cannot be read"] += 1
        if len(result.broken) < _EXAMPLES:
            result.broken.append(f"{Path(record['file_name']).name}: {error}")
        return None, side
    return texts, max(image.shape[:2])
