"""Total-Text's Pascal protocol (cs-chan/Total-Text-Dataset, Python_scripts/Pascal_VOC.py).

As its last version has it, with polygon_fast.py:

0. A detection is dropped if its intersection with any one don't-care region, over its own area
   **plus one**, is more than half; the regions then are, too.
1. IoU is intersection over (union **plus one**). Detections, in their order, each look at the one
   ground truth with which theirs is largest (the first of several): with an IoU of **at least** 0.5
   it is a true positive, unless that ground truth is taken already.

Precision and recall are true positives over the detections that were not dropped and over the
ground truths that count, of the images that have a result file.

:mod:`vlpt_d2.data.datasets.total_text` defines the files: their names, and how lines are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from .overlaps import buffered_overlaps
from .protocol import Protocol, register_protocol
from .result import ImageResult, check_flags
from .total_text_deteval import OVERLAP_THRESHOLD, drop_on_ignored

__all__ = ["match_image"]

IOU_THRESHOLD = 0.5
# Square pixels added to unions and to detections: the scripts' guard against division by zero.
EXTRA_AREA = 1.0


def match_image(
    gt_polygons: Iterable[np.ndarray],
    gt_ignore: Sequence[bool],
    det_polygons: Iterable[np.ndarray],
) -> ImageResult:
    """Match one image; see :data:`~.protocol.MatchImage`."""
    areas = buffered_overlaps(gt_polygons, det_polygons)
    ignore = check_flags(gt_ignore, len(areas.gt))
    dropped = drop_on_ignored(areas, ignore, EXTRA_AREA)
    gt_ids, det_ids = np.flatnonzero(~ignore), np.flatnonzero(~dropped)
    kept = np.ix_(gt_ids, det_ids)
    overlap = areas.shared[kept] / (areas.union[kept] + EXTRA_AREA)
    matches: list[tuple[int, int, float]] = []
    taken: set[int] = set()
    if len(gt_ids):
        for d, g in enumerate(np.argmax(overlap, axis=0).tolist()):
            if overlap[g, d] >= IOU_THRESHOLD and g not in taken:
                taken.add(g)
                matches.append((int(gt_ids[g]), int(det_ids[d]), float(overlap[g, d])))
    return ImageResult(
        num_gt=len(gt_ids),
        num_det=len(det_ids),
        matches=matches,
        ignored_gt=np.flatnonzero(ignore).tolist(),
        ignored_det=np.flatnonzero(dropped).tolist(),
        repaired_gt=areas.repaired_gt,
        repaired_det=areas.repaired_det,
    )


register_protocol(
    Protocol(
        "totaltext-pascal",
        "Total-Text Pascal, IoU >= 0.5",
        {"iou_threshold": IOU_THRESHOLD, "overlap_threshold": OVERLAP_THRESHOLD},
        match_image,
        only_with_result=True,
        file_format="totaltext",
        whole_gt=True,
        whole_dt=True,
    )
)
