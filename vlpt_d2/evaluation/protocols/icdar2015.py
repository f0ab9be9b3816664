"""The detection protocol of ICDAR2015 Challenge 4, Task 1.

The rules are those of the Robust Reading Competition's script (as in whai362/PSENet,
eval/ic15/script.py), here for polygons of any number of points:

1. A detection is ignored if more than half of its area lies in any one don't-care region.
2. Ground truths, in their order, each take the first detection in its order whose IoU with them
   is **greater than** 0.5; don't-care regions and ignored detections take no part, and each
   detection is used once. This is greedy, so the order of detections may matter.
3. Precision and recall are matches over the detections and ground truths that are left, summed
   over all images.

:mod:`vlpt_d2.data.datasets.icdar2015` defines the files: their names, and how lines are read. For
``icdar2017``, :mod:`vlpt_d2.data.datasets.icdar_mlt` does.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .pairs import Pairs, take_in_order
from .protocol import Protocol, register_protocol
from .result import ImageResult

__all__ = ["PARAMETERS", "match_pairs"]

# Both as in the script, and both strict.
IOU_THRESHOLD = 0.5
OVERLAP_THRESHOLD = 0.5
# What a result file records of the rules.
PARAMETERS = {"iou_threshold": IOU_THRESHOLD, "overlap_threshold": OVERLAP_THRESHOLD}


def match_pairs(pairs: Pairs) -> list[ImageResult]:
    """Match the images of some pairs."""
    ignored_det = np.zeros(len(pairs.det_image), dtype=bool)
    on_ignored = pairs.gt_ignore[pairs.gt] & (pairs.covered > OVERLAP_THRESHOLD)
    ignored_det[pairs.det[on_ignored]] = True
    fit = ~pairs.gt_ignore[pairs.gt] & ~ignored_det[pairs.det] & (pairs.iou > IOU_THRESHOLD)
    matches = take_in_order(pairs.gt[fit], pairs.det[fit], pairs.iou[fit])
    return pairs.results(matches, pairs.gt_ignore, ignored_det)


ICDAR2015 = register_protocol(
    Protocol(
        "icdar2015",
        "ICDAR2015 Challenge 4, IoU > 0.5",
        PARAMETERS,
        match_pairs=match_pairs,
        file_format="icdar2015",
        whole_gt=True,
        whole_dt=True,
    )
)
# The multi-lingual task asks for confidences, and its script sorts by them.
register_protocol(
    replace(
        ICDAR2015,
        name="icdar2017",
        title="ICDAR2017-MLT, IoU > 0.5",
        file_format="icdar2017",
        sort_by_score=True,
    )
)
