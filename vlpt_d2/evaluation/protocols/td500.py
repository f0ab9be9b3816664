"""MSRA-TD500 by the rules of PSENet's and PAN's script (whai362/PSENet, eval/msra/eval.py).

(``td500``, the other reading, is :mod:`~.icdar2015` with difficult lines as don't-care regions, as
DB and others do.)

Each ground truth, difficult or not, takes the first detection, in its order, whose IoU with it is
**at least** 0.5; a detection may serve several ground truths. Then

- recall = matched / (matched + missed lines that are not difficult): a missed difficult line costs
  nothing, a matched one counts;
- precision = matched / all detections, which passes 1 where a detection serves several lines, as it
  does where the ground truth has a line twice.

Images without a result file take no part, not even their ground truths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import shapely

from .result import ImageResult, check_flags
from .shapes import intersections, iou, to_shapes

__all__ = ["PARAMETERS", "match_image"]

IOU_THRESHOLD = 0.5
PARAMETERS = {"iou_threshold": IOU_THRESHOLD}


def match_image(
    gt_polygons: Iterable[np.ndarray],
    gt_ignore: Sequence[bool],
    det_polygons: Iterable[np.ndarray],
) -> ImageResult:
    """Match one image; see :data:`~.result.MatchImage`, where the marks are "difficult".

    ``num_gt`` counts matched lines and missed easy ones, ``ignored_gt`` lists missed difficult
    ones.
    """
    repaired_gt: Counter[str] = Counter()
    repaired_det: Counter[str] = Counter()
    gts, dets = to_shapes(gt_polygons, repaired_gt), to_shapes(det_polygons, repaired_det)
    difficult = check_flags(gt_ignore, len(gts))
    g, d, shared = intersections(gts, dets)
    overlaps = iou(shapely.area(gts)[g], shapely.area(dets)[d], shared)
    hits = overlaps >= IOU_THRESHOLD
    # Of the pairs of one ground truth the first is the script's.
    matched, first = np.unique(g[hits], return_index=True)
    missed = np.setdiff1d(np.arange(len(gts)), matched)
    return ImageResult(
        num_gt=len(matched) + int(np.count_nonzero(~difficult[missed])),
        num_det=len(dets),
        matches=list(
            zip(matched.tolist(), d[hits][first].tolist(), overlaps[hits][first].tolist())
        ),
        ignored_gt=missed[difficult[missed]].tolist(),
        ignored_det=[],
        repaired_gt=repaired_gt,
        repaired_det=repaired_det,
    )
