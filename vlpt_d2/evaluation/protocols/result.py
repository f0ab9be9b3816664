"""What every protocol returns for one image, and how images become one score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = [
    "CREDITS",
    "ImageResult",
    "Ledger",
    "Totals",
    "check_flags",
    "harmonic_mean",
    "total",
]

#: What the counts of protocols with splits and merges mean.
CREDITS = (
    "matched counts ground truths that earned anything; recall and precision are credits (1 for a "
    "match, a fraction for the parts of splits and merges) over gt_care and dt_care"
)


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
        precision_credit: numerator of precision, in the same way.
    """

    num_gt: int
    num_det: int
    matches: list[tuple[int, int, float]]
    ignored_gt: list[int]
    ignored_det: list[int]
    repaired_gt: Counter[str] = field(default_factory=Counter)
    repaired_det: Counter[str] = field(default_factory=Counter)
    # None until __post_init__, which fills in what was not given.
    num_matches: int = None  # type: ignore[assignment]
    recall_credit: float = None  # type: ignore[assignment]
    precision_credit: float = None  # type: ignore[assignment]

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
class Ledger:
    """What is matched and earned so far in one image, where there are splits and merges.

    Attributes:
        gt_free, det_free: (N,) and (M,) bool, the ground truths and the detections to be matched.
        recall, precision: the credits.
        pairs: (ground truth, detection) of all matches.
    """

    gt_free: np.ndarray
    det_free: np.ndarray
    recall: float = 0.0
    precision: float = 0.0
    pairs: list[tuple[int, int]] = field(default_factory=list)

    def enter(
        self,
        gts: list[int] | np.ndarray,
        dets: list[int] | np.ndarray,
        recall: float,
        precision: float,
    ) -> None:
        """Match some ground truths and detections for these credits."""
        self.gt_free[gts] = self.det_free[dets] = False
        self.recall += recall
        self.precision += precision
        self.pairs += [(int(g), int(d)) for g in gts for d in dets]


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
    """Sum credits and counts over images; precision and recall of nothing are 0.

    Results are taken one by one, so an iterator needs no memory for all of them.
    """
    sums: Counter[str] = Counter()
    repaired_gt: Counter[str] = Counter()
    repaired_det: Counter[str] = Counter()
    recall_credit = precision_credit = 0.0
    for r in results:
        sums["images"] += 1
        sums["num_gt"] += r.num_gt
        sums["num_det"] += r.num_det
        sums["num_matches"] += r.num_matches
        sums["ignored_gt"] += len(r.ignored_gt)
        sums["ignored_det"] += len(r.ignored_det)
        recall_credit += r.recall_credit
        precision_credit += r.precision_credit
        if r.repaired_gt or r.repaired_det:
            repaired_gt.update(r.repaired_gt)
            repaired_det.update(r.repaired_det)
    recall = recall_credit / sums["num_gt"] if sums["num_gt"] else 0.0
    precision = precision_credit / sums["num_det"] if sums["num_det"] else 0.0
    counts = ("images", "num_gt", "num_det", "num_matches", "ignored_gt", "ignored_det")
    return Totals(
        **{name: sums[name] for name in counts},
        precision=precision,
        recall=recall,
        hmean=harmonic_mean(precision, recall),
        repaired_gt=repaired_gt,
        repaired_det=repaired_det,
        recall_credit=recall_credit,
        precision_credit=precision_credit,
    )


def harmonic_mean(precision: float, recall: float) -> float:
    """0 where both are 0."""
    both = precision + recall
    return 2 * precision * recall / both if both else 0.0


def check_flags(gt_ignore: Sequence[bool], number: int) -> np.ndarray:
    """Return the don't-care marks as a bool array.

    Raises:
        ValueError: there is not one for each of ``number`` ground truths.
    """
    ignore = np.asarray(gt_ignore, dtype=bool)
    if ignore.shape != (number,):
        raise ValueError(f"{number} ground truths, but gt_ignore has shape {ignore.shape}")
    return ignore
