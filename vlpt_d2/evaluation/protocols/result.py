"""What every protocol returns for one image, and how images become one score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["ImageResult", "Protocol", "Totals", "harmonic_mean", "total"]


@dataclass
class ImageResult:
    """How the detections of one image were matched.

    Attributes:
        num_gt: ground truths that count, the denominator of recall.
        num_det: detections that count, the denominator of precision.
        matches: (ground truth, detection, IoU), indices into the polygons given. Protocols that
            know splits and merges list a ground truth, or a detection, several times.
        ignored_gt: indices of don't-care ground truths.
        ignored_det: indices of detections ignored because of them.
        repaired_gt: fault -> ground truths that had it.
        repaired_det: fault -> detections that had it.
        num_matches: what the protocol counts as matched; the number of matches if not given.
        recall_credit: numerator of recall; ``num_matches`` if not given. A fraction where
            splits, merges or loose outlines earn less than one.
        precision_credit: numerator of precision, likewise.
    """

    num_gt: int
    num_det: int
    matches: list[tuple[int, int, float]]
    ignored_gt: list[int]
    ignored_det: list[int]
    repaired_gt: Counter[str] = field(default_factory=Counter)
    repaired_det: Counter[str] = field(default_factory=Counter)
    num_matches: int | None = None
    recall_credit: float | None = None
    precision_credit: float | None = None

    def __post_init__(self) -> None:
        if self.num_matches is None:
            self.num_matches = len(self.matches)
        if self.recall_credit is None:
            self.recall_credit = float(self.num_matches)
        if self.precision_credit is None:
            self.precision_credit = float(self.num_matches)

    @property
    def recall(self) -> float:
        """1 where there is nothing to find."""
        return self.recall_credit / self.num_gt if self.num_gt else 1.0

    @property
    def precision(self) -> float:
        """Without detections 0, or 1 where there is nothing to find either."""
        if self.num_det:
            return self.precision_credit / self.num_det
        return 0.0 if self.num_gt else 1.0

    @property
    def hmean(self) -> float:
        """Harmonic mean of precision and recall."""
        return harmonic_mean(self.precision, self.recall)


@dataclass
class Totals:
    """The score of a set of images; see :class:`ImageResult` for the counts and credits.

    Precision, recall and hmean lie in [0, 1]; only Total-Text's DetEval and ``td500-psenet`` can
    pass 1, where one detection is credited to two ground truths.
    """

    images: int
    num_gt: int
    num_det: int
    num_matches: int
    ignored_gt: int
    ignored_det: int
    precision: float
    recall: float
    hmean: float
    repaired_gt: Counter[str]
    repaired_det: Counter[str]
    recall_credit: float
    precision_credit: float


def total(results: Iterable[ImageResult]) -> Totals:
    """Sum credits and counts over images; precision and recall of nothing are 0."""
    results = list(results)
    num_gt = sum(r.num_gt for r in results)
    num_det = sum(r.num_det for r in results)
    recall_credit = sum(r.recall_credit for r in results)
    precision_credit = sum(r.precision_credit for r in results)
    recall = recall_credit / num_gt if num_gt else 0.0
    precision = precision_credit / num_det if num_det else 0.0
    return Totals(
        images=len(results),
        num_gt=num_gt,
        num_det=num_det,
        num_matches=sum(r.num_matches for r in results),
        ignored_gt=sum(len(r.ignored_gt) for r in results),
        ignored_det=sum(len(r.ignored_det) for r in results),
        precision=precision,
        recall=recall,
        hmean=harmonic_mean(precision, recall),
        repaired_gt=sum((r.repaired_gt for r in results), Counter()),
        repaired_det=sum((r.repaired_det for r in results), Counter()),
        recall_credit=float(recall_credit),
        precision_credit=float(precision_credit),
    )


def harmonic_mean(precision: float, recall: float) -> float:
    """0 where both are 0."""
    both = precision + recall
    return 2 * precision * recall / both if both else 0.0


#: ``(gt_polygons, gt_ignore, det_polygons) -> ImageResult``: per word and per detection (N_i, 2)
#: points in pixels, in the order of their files, and per word the dataset's don't-care mark.
MatchImage = Callable[[Iterable[np.ndarray], Sequence[bool], Iterable[np.ndarray]], ImageResult]

#: The same for all images, with their confidences (None where there are none); also returns what
#: there is to say beside the score.
MatchImages = Callable[
    [
        Sequence[Sequence[np.ndarray]],
        Sequence[Sequence[bool]],
        Sequence[Sequence[np.ndarray]],
        Sequence[Sequence[float] | None],
    ],
    tuple[list[ImageResult], dict[str, Any]],
]


@dataclass(frozen=True)
class Protocol:
    """A named set of rules.

    Attributes:
        name: as in ``vlpt-d2 evaluate --protocol``, and as a dataset's ``evaluator_type``.
        title: one line about it.
        match_image: matches one image; None for protocols that rank the detections of all images.
        parameters: the numbers of its rules, for result files.
        counts: what ``matched``, ``gt_care`` and ``dt_care`` count, where that is not plain.
        only_with_result: whether images without a result file take no part (in the others their
            ground truths count as missed).
        match_images: where images are not measured one by one, measures all; see :mod:`~.coco`.
    """

    name: str
    title: str
    match_image: MatchImage | None
    parameters: Mapping[str, Any]
    counts: str = ""
    only_with_result: bool = False
    total: Callable[[Iterable[ImageResult]], Totals] = total
    match_images: MatchImages | None = None


def check_flags(gt_ignore: Sequence[bool], number: int) -> np.ndarray:
    """Return the don't-care marks as a bool array.

    Raises:
        ValueError: there is not one for each of ``number`` ground truths.
    """
    ignore = np.asarray(gt_ignore, dtype=bool)
    if ignore.shape != (number,):
        raise ValueError(f"{number} ground truths, but gt_ignore has shape {ignore.shape}")
    return ignore
