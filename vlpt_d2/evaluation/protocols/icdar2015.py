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

import numpy as np
import shapely

from .result import ImageResult, Totals, check_flags, total
from .shapes import intersections, iou, take_in_order, to_shapes

__all__ = ["PARAMETERS", "ImageResult", "Totals", "match_image", "total"]

# Both as in the script, and both strict.
IOU_THRESHOLD = 0.5
OVERLAP_THRESHOLD = 0.5
# What a result file says about the rules.
PARAMETERS = {"iou_threshold": IOU_THRESHOLD, "overlap_threshold": OVERLAP_THRESHOLD}


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
    ignore = check_flags(gt_ignore, len(gts))
    gt_areas, det_areas = shapely.area(gts), shapely.area(dets)
    g, d, shared = intersections(gts, dets)

    ignored_det = np.zeros(len(dets), dtype=bool)
    # An unusable detection has no area, but then it touches nothing and is in no pair.
    covered = ignore[g] & (shared / det_areas[d] > OVERLAP_THRESHOLD)
    ignored_det[d[covered]] = True

    overlaps = iou(gt_areas[g], det_areas[d], shared)
    candidates = ~ignore[g] & ~ignored_det[d] & (overlaps > IOU_THRESHOLD)
    matches = take_in_order(g[candidates], d[candidates], overlaps[candidates])
    return ImageResult(
        num_gt=int(np.count_nonzero(~ignore)),
        num_det=int(np.count_nonzero(~ignored_det)),
        matches=matches,
        ignored_gt=np.flatnonzero(ignore).tolist(),
        ignored_det=np.flatnonzero(ignored_det).tolist(),
        repaired_gt=repaired_gt,
        repaired_det=repaired_det,
    )
