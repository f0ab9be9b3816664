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

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import shapely

from . import icdar2015
from .result import ImageResult
from .shapes import to_shapes

__all__ = ["PARAMETERS", "match_image"]

# Shares up to this one cost nothing (funcCt and funcOt in the script).
TOLERANCE = 0.01
# Square pixels of other texts inside a detection that are taken for none, as in the script.
MIN_OUTLIER = 1e-10
_ROUNDING = 1e-9
PARAMETERS = {**icdar2015.PARAMETERS, "tolerance": TOLERANCE}


def match_image(
    gt_polygons: Iterable[np.ndarray],
    gt_ignore: Sequence[bool],
    det_polygons: Iterable[np.ndarray],
) -> ImageResult:
    """Match one image; see :data:`~.result.MatchImage`. The credits are sums of TIoU."""
    gt_polygons, det_polygons = list(gt_polygons), list(det_polygons)
    result = icdar2015.match_image(gt_polygons, gt_ignore, det_polygons)
    gts, dets = to_shapes(gt_polygons, Counter()), to_shapes(det_polygons, Counter())
    result.recall_credit = result.precision_credit = 0.0
    if not result.matches:
        return result
    tree = shapely.STRtree(gts)
    for gt, det, iou in result.matches:
        others = [i for i in tree.query(dets[det], predicate="intersects").tolist() if i != gt]
        result.recall_credit += iou * recall_share(gts[gt], dets[det])
        result.precision_credit += iou * precision_share(gts[gt], dets[det], gts[others])
    return result


def recall_share(gt: shapely.Polygon, det: shapely.Polygon) -> float:
    """f of the share of a ground truth that a detection leaves out, in [0, 1]."""
    cut = gt.area - shapely.intersection(gt, det).area
    return _discount(cut, gt.area)


def precision_share(gt: shapely.Polygon, det: shapely.Polygon, others: Sequence) -> float:
    """f of the share of a detection that lies on other ground truths alone, in [0, 1]."""
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
