"""The detection protocol of ICDAR2015 Challenge 4, Task 1.

The rules are those of the Robust Reading Competition's script (as in whai362/PSENet,
eval/ic15/script.py), here for polygons of any number of points:

1. A detection is ignored if more than half of its area lies in any one don't-care region.
2. Ground truths, in their order, each take the first detection in its order whose IoU with them
   is **greater than** 0.5; don't-care regions and ignored detections take no part, and each
   detection is used once. This is greedy, so the order of detections may matter.
3. Precision and recall are matches over the detections and ground truths that are left, summed
   over all images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely

from .shapes import intersections, iou, to_shapes

__all__ = ["PARAMETERS", "ImageResult", "Totals", "match_image", "total"]

# Both as in the script, and both strict.
IOU_THRESHOLD = 0.5
OVERLAP_THRESHOLD = 0.5
# What a result file says about the rules.
PARAMETERS = {"iou_threshold": IOU_THRESHOLD, "overlap_threshold": OVERLAP_THRESHOLD}


@dataclass
class ImageResult:
    """How the detections of one image were matched.

    Attributes:
        num_gt: ground truths that count.
        num_det: detections that count.
        matches: (ground truth, detection, IoU), indices into the polygons given.
        ignored_gt: indices of don't-care ground truths.
        ignored_det: indices of detections ignored because of them.
        repaired_gt: fault -> ground truths that had it.
        repaired_det: fault -> detections that had it.
    """

    num_gt: int
    num_det: int
    matches: list[tuple[int, int, float]]
    ignored_gt: list[int]
    ignored_det: list[int]
    repaired_gt: Counter[str] = field(default_factory=Counter)
    repaired_det: Counter[str] = field(default_factory=Counter)

    @property
    def recall(self) -> float:
        """In [0, 1]; 1 where there is nothing to find."""
        return len(self.matches) / self.num_gt if self.num_gt else 1.0

    @property
    def precision(self) -> float:
        """In [0, 1]; without detections 0, or 1 where there is nothing to find either."""
        if self.num_det:
            return len(self.matches) / self.num_det
        return 0.0 if self.num_gt else 1.0

    @property
    def hmean(self) -> float:
        """Harmonic mean of precision and recall, in [0, 1]."""
        return _hmean(self.precision, self.recall)


@dataclass
class Totals:
    """The score of a set of images; precision, recall and hmean in [0, 1]."""

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


def match_image(
    gt_polygons: Iterable[np.ndarray],
    gt_ignore: Sequence[bool],
    det_polygons: Iterable[np.ndarray],
) -> ImageResult:
    """Match the detections of one image.

    Args:
        gt_polygons: per word (N_i, 2) points in pixels, in the order of the annotations.
        gt_ignore: per word, whether it is a don't-care region.
        det_polygons: per detection (M_i, 2) points in pixels, in the detector's order.

    Returns:
        Matches and counts. Invalid polygons are repaired and counted; one that has no repair
        stays a ground truth, or a detection, that matches nothing.
    """
    repaired_gt: Counter[str] = Counter()
    repaired_det: Counter[str] = Counter()
    gts, dets = to_shapes(gt_polygons, repaired_gt), to_shapes(det_polygons, repaired_det)
    ignore = np.asarray(gt_ignore, dtype=bool)
    if ignore.shape != gts.shape:
        raise ValueError(f"{len(gts)} ground truths, but gt_ignore has shape {ignore.shape}")
    gt_areas, det_areas = shapely.area(gts), shapely.area(dets)
    g, d, shared = intersections(gts, dets)

    ignored_det = np.zeros(len(dets), dtype=bool)
    # An unusable detection has no area, but then it touches nothing and is in no pair.
    covered = ignore[g] & (shared / det_areas[d] > OVERLAP_THRESHOLD)
    ignored_det[d[covered]] = True

    overlaps = iou(gt_areas[g], det_areas[d], shared)
    candidates = ~ignore[g] & ~ignored_det[d] & (overlaps > IOU_THRESHOLD)
    matches: list[tuple[int, int, float]] = []
    taken_gt, taken_det = set(), set()
    # Pairs come sorted by ground truth, then by detection: the order of the script's two loops.
    for gt, det, overlap in zip(
        g[candidates].tolist(), d[candidates].tolist(), overlaps[candidates].tolist()
    ):
        if gt not in taken_gt and det not in taken_det:
            taken_gt.add(gt)
            taken_det.add(det)
            matches.append((gt, det, overlap))
    return ImageResult(
        num_gt=int(np.count_nonzero(~ignore)),
        num_det=int(np.count_nonzero(~ignored_det)),
        matches=matches,
        ignored_gt=np.flatnonzero(ignore).tolist(),
        ignored_det=np.flatnonzero(ignored_det).tolist(),
        repaired_gt=repaired_gt,
        repaired_det=repaired_det,
    )


def total(results: Iterable[ImageResult]) -> Totals:
    """Sum matches and counts over images; precision and recall of nothing are 0."""
    results = list(results)
    num_gt = sum(r.num_gt for r in results)
    num_det = sum(r.num_det for r in results)
    num_matches = sum(len(r.matches) for r in results)
    recall = num_matches / num_gt if num_gt else 0.0
    precision = num_matches / num_det if num_det else 0.0
    return Totals(
        images=len(results),
        num_gt=num_gt,
        num_det=num_det,
        num_matches=num_matches,
        ignored_gt=sum(len(r.ignored_gt) for r in results),
        ignored_det=sum(len(r.ignored_det) for r in results),
        precision=precision,
        recall=recall,
        hmean=_hmean(precision, recall),
        repaired_gt=sum((r.repaired_gt for r in results), Counter()),
        repaired_det=sum((r.repaired_det for r in results), Counter()),
    )


def _hmean(precision: float, recall: float) -> float:
    both = precision + recall
    return 2 * precision * recall / both if both else 0.0
