"""TIoU, tightness-aware IoU (Liu et al., CVPR 2019; Yuliang-Liu/TIoU-metric, script.py).

Detections are matched as in :mod:`~.icdar2015`. A match of ground truth G and detection D then
earns, instead of one,

- for recall IoU * f(Ct / area(G)), where Ct is the area of G that D leaves out;
- for precision IoU * f(Ot / area(D)), where Ot is the area of D that lies on other ground truths
  and not on G. All that overlap D are "other", don't-care regions too; Ot up to 1e-10 counts as 0;

with f(x) = 1 for x up to 0.01, else 1 - x.

The script credits 0 where an area comes out invalid (negative, or larger than its polygon). With
exact areas that cannot be, so rounding errors of less than 1e-9 of an area are taken for 0 here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import icdar2015
from .pairs import Pairs
from .protocol import Protocol, register_protocol
from .result import ImageResult

if TYPE_CHECKING:
    import shapely

__all__ = ["match_pairs"]

# Shares up to this one cost nothing (funcCt and funcOt in the script).
TOLERANCE = 0.01
# Square pixels of other texts inside a detection that are taken for none, as in the script.
MIN_OUTLIER = 1e-10
_ROUNDING = 1e-9


def match_pairs(pairs: Pairs) -> list[ImageResult]:
    """Match images. The credits are sums of TIoU."""
    results = icdar2015.match_pairs(pairs)
    gts, dets = pairs.shapes
    edges = np.arange(len(results))
    gt_starts = np.searchsorted(pairs.gt_image, edges).tolist()
    det_starts = np.searchsorted(pairs.det_image, edges).tolist()
    order = np.argsort(pairs.det, kind="stable")
    by_det = pairs.det[order]
    for result, gt_start, det_start in zip(results, gt_starts, det_starts):
        result.recall_credit = result.precision_credit = 0.0
        for gt, det, iou in result.matches:
            gt, det = gt + gt_start, det + det_start
            own = order[np.searchsorted(by_det, det) : np.searchsorted(by_det, det, "right")]
            others = gts[pairs.gt[own][pairs.gt[own] != gt]]
            result.recall_credit += iou * recall_share(gts[gt], dets[det])
            result.precision_credit += iou * precision_share(gts[gt], dets[det], others)
    return results


def recall_share(gt: shapely.Polygon, det: shapely.Polygon) -> float:
    """f of the share of a ground truth that a detection leaves out, in [0, 1]."""
    import shapely

    cut = gt.area - shapely.intersection(gt, det).area
    return _discount(cut, gt.area)


def precision_share(gt: shapely.Polygon, det: shapely.Polygon, others: np.ndarray) -> float:
    """f of the share of a detection that lies on other ground truths alone, in [0, 1]."""
    import shapely

    if not len(others):
        return 1.0
    foreign = shapely.intersection(det, shapely.union_all(others))
    outlier = foreign.area - shapely.intersection(foreign, gt).area
    return _discount(0.0 if outlier <= MIN_OUTLIER else outlier, det.area)


def _discount(part: float, whole: float) -> float:
    if whole <= 0 or not -_ROUNDING * whole <= part <= (1 + _ROUNDING) * whole:
        return 0.0
    share = min(max(part / whole, 0.0), 1.0)
    return 1.0 if share <= TOLERANCE else 1.0 - share


register_protocol(
    Protocol(
        "tiou",
        "TIoU: matches of IoU > 0.5, weighted by IoU and tightness",
        {**icdar2015.PARAMETERS, "tolerance": TOLERANCE},
        match_pairs=match_pairs,
        counts="matched counts matches of IoU > 0.5; recall and precision are sums of TIoU over "
        "gt_care and dt_care",
        # script.py cuts fractions of quadrilaterals off, curved-tiou/script.py keeps those of
        # polygons and has x first in Total-Text's results, too.
        either_order=("totaltext",),
    )
)
