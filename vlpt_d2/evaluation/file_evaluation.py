"""Any detector's result files measured by a benchmark's protocol."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .files import ImageTexts, ResultSet
from .protocols import PROTOCOLS, ImageResult, Protocol, Totals, total

__all__ = ["Evaluation", "evaluate_files", "evaluate_images", "to_report"]


@dataclass
class Evaluation:
    """The result of a run.

    Attributes:
        protocol: whose rules these are.
        totals: the score.
        images: those that took part.
        results: per image.
        missing: names of images without a result file.
        notes: what was put right, cut off, left out or looks odd -> how often.
        file_format: the format of the files.
        order: "xy" or "yx", which coordinate came first in result files.
        extra: what a protocol reports in addition to the score.
    """

    protocol: Protocol
    totals: Totals = field(default_factory=lambda: total([]))
    images: list[ImageTexts] = field(default_factory=list)
    results: list[ImageResult] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    file_format: str = ""
    order: str = "xy"
    extra: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Do not look for reference cycles: there are none, and it takes a fifth of the time."""
    is_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_on:
            gc.enable()


@_without_collector()
def evaluate_files(
    gt: str | Path,
    dt: str | Path,
    protocol: str,
    file_format: str | None = None,
    order: str | None = None,
    keep_images: bool = True,
) -> Evaluation:
    """Measure result files.

    Args:
        gt, dt, file_format, order: see :class:`~.files.ResultSet`.
        protocol: a name of :data:`~.protocols.PROTOCOLS`.
        keep_images: whether to keep images and results. Without, the images are read in batches,
            so that memory does not grow with their number.

    Raises:
        FileError: something cannot be read, or a result file has no ground truth.
        KeyError: there is no such protocol or format.
    """
    if protocol not in PROTOCOLS:
        raise KeyError(f"no protocol {protocol!r}; there are {', '.join(sorted(PROTOCOLS))}")
    rules = PROTOCOLS[protocol]
    evaluation = Evaluation(rules)
    with ResultSet(gt, dt, rules, file_format, order) as results:
        batches = results.batches(2**62) if keep_images else results.batches()
        if rules.match_set is not None:
            batches = map(results.expect_scores, batches)
        _measure(evaluation, batches, keep_images)
        evaluation.notes = results.notes + evaluation.notes
        evaluation.file_format, evaluation.order = results.file_format, results.order
        evaluation.missing = results.missing
    return evaluation


def evaluate_images(images: list[ImageTexts], protocol: str) -> Evaluation:
    """Measure what is read already; images without a result count as the protocol has it."""
    evaluation = Evaluation(PROTOCOLS[protocol])
    _measure(evaluation, [images], keep_images=True)
    evaluation.missing = [image.name for image in images if not image.has_result]
    return evaluation


def _measure(
    evaluation: Evaluation, batches: Iterable[list[ImageTexts]], keep_images: bool
) -> None:
    rules = evaluation.protocol

    def match() -> Iterator[ImageResult]:
        for images in batches:
            if rules.only_with_result:
                images = [image for image in images if image.has_result]
            results, evaluation.extra = rules.match_images(
                [image.gt_polygons for image in images],
                [image.gt_ignore for image in images],
                [image.det_polygons for image in images],
                [image.scores for image in images],
            )
            if keep_images:
                evaluation.images += images
                evaluation.results += results
            yield from results

    totals = evaluation.totals = total(match())
    for what, faults in (
        ("ground truths", totals.repaired_gt),
        ("detections", totals.repaired_det),
    ):
        for fault, number in faults.items():
            evaluation.notes[f"faulty {what}: {fault}"] += number
    if max(totals.precision, totals.recall) > 1:
        what = "a score above 1, as by the script: one detection is credited to several texts"
        evaluation.notes[what] += 1
    if totals.num_gt == 0:
        evaluation.notes["no ground truth counts, so there is no score"] += 1


def to_report(evaluation: Evaluation) -> dict[str, Any]:
    """The result as JSON data.

    ``precision``, ``recall`` and ``hmean`` are shares, not percent; ``matched``, ``gt_care`` and
    ``dt_care`` are the counts behind them, ``counts`` says what they count where that is not
    plain. ``images`` has the same for each image, with the pairs matched.
    """
    totals, protocol = evaluation.totals, evaluation.protocol
    return {
        "protocol": protocol.name,
        "protocol_parameters": dict(protocol.parameters),
        "precision": totals.precision,
        "recall": totals.recall,
        "hmean": totals.hmean,
        "matched": totals.num_matches,
        "gt_care": totals.num_gt,
        "dt_care": totals.num_det,
        "recall_credit": totals.recall_credit,
        "precision_credit": totals.precision_credit,
        "counts": protocol.counts or "recall = matched / gt_care, precision = matched / dt_care",
        "gt_ignored": totals.ignored_gt,
        "dt_ignored": totals.ignored_det,
        "num_images": totals.images,
        "num_images_left_out": len(evaluation.missing) if protocol.only_with_result else 0,
        "images_without_result": evaluation.missing,
        "file_format": evaluation.file_format,
        "order": evaluation.order,
        "notes": dict(evaluation.notes),
        **evaluation.extra,
        "images": [
            _row(image, result)
            for image, result in zip(evaluation.images, evaluation.results, strict=True)
        ],
    }


def _row(image: ImageTexts, result: ImageResult) -> dict[str, Any]:
    return {
        "image": image.name,
        "precision": result.precision,
        "recall": result.recall,
        "hmean": result.hmean,
        "matched": result.num_matches,
        "gt_care": result.num_gt,
        "dt_care": result.num_det,
        "recall_credit": result.recall_credit,
        "precision_credit": result.precision_credit,
        "has_result": image.has_result,
        "matches": [[gt, det, round(overlap, 6)] for gt, det, overlap in result.matches],
        "ignored_gt": result.ignored_gt,
        "ignored_dt": result.ignored_det,
    }
