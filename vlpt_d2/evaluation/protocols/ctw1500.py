"""SCUT-CTW1500's protocol, and PSENet's copy of it, which differs.

``ctw1500`` (Yuliang-Liu/TIoU-metric, curved-tiou/script.py, its block "Origin", which its authors
state to be identical to the benchmark's): ground truths, in their order, each take the first
detection whose IoU with them is **greater than** 0.5; each detection is used once. The benchmark's
3,068 test lines all count: none is a don't-care region, so marks (``###``) are not looked at.

``ctw1500-psenet`` (whai362/PSENet, eval/ctw/eval.py): detections, in their order, look at every
ground truth; one is hit if their IoU is **at least** 0.5. A detection that hits a ground truth that
no earlier one hit is a true positive, and takes **all** that it hits. Precision and recall are both
true positives (detections) over detections and over ground truths. Images without a result file
take no part, not even their ground truths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import shapely

from . import icdar2015
from .result import ImageResult, check_flags
from .shapes import intersections, iou, to_shapes

__all__ = ["PARAMETERS", "match_image", "match_image_psenet"]

IOU_THRESHOLD = 0.5
PARAMETERS = {"iou_threshold": IOU_THRESHOLD}


def match_image(
    gt_polygons: Iterable[np.ndarray],
    gt_ignore: Sequence[bool],
    det_polygons: Iterable[np.ndarray],
) -> ImageResult:
    """Match one image as ``ctw1500``; see :data:`~.result.MatchImage`. Marks play no part."""
    gt_polygons = list(gt_polygons)
    check_flags(gt_ignore, len(gt_polygons))
    return icdar2015.match_image(gt_polygons, [False] * len(gt_polygons), det_polygons)


def match_image_psenet(
    gt_polygons: Iterable[np.ndarray],
    gt_ignore: Sequence[bool],
    det_polygons: Iterable[np.ndarray],
) -> ImageResult:
    """Match one image as ``ctw1500-psenet``; see :data:`~.result.MatchImage`.

    ``matches`` lists all ground truths that a true positive took, ``num_matches`` counts true
    positives.
    """
    repaired_gt: Counter[str] = Counter()
    repaired_det: Counter[str] = Counter()
    gts, dets = to_shapes(gt_polygons, repaired_gt), to_shapes(det_polygons, repaired_det)
    check_flags(gt_ignore, len(gts))
    d, g, shared = intersections(dets, gts)
    overlaps = iou(shapely.area(gts)[g], shapely.area(dets)[d], shared)
    hits = overlaps >= IOU_THRESHOLD
    matches: list[tuple[int, int, float]] = []
    taken: set[int] = set()
    # Sorted by detection, so the order in which the script goes through them.
    for det, gt, overlap in zip(d[hits].tolist(), g[hits].tolist(), overlaps[hits].tolist()):
        if gt not in taken:
            taken.add(gt)
            matches.append((gt, det, overlap))
    return ImageResult(
        num_gt=len(gts),
        num_det=len(dets),
        matches=matches,
        ignored_gt=[],
        ignored_det=[],
        repaired_gt=repaired_gt,
        repaired_det=repaired_det,
        num_matches=len({det for _, det, _ in matches}),
    )
