"""SCUT-CTW1500's protocol, and PSENet's copy of it, which differs.

``ctw1500`` (Yuliang-Liu/TIoU-metric, curved-tiou/script.py, its block "Origin", which its authors
state to be identical to the benchmark's): ground truths, in their order, each take the first
detection whose IoU with them is **greater than** 0.5; each detection is used once. The benchmark's
3,068 test lines all count: none is a don't-care region, so marks (``###``) are not looked at.
Coordinates of files keep their fractions.

``ctw1500-psenet`` (whai362/PSENet, eval/ctw/eval.py): detections, in their order, look at every
ground truth; one is hit if their IoU is **at least** 0.5. A detection that hits a ground truth that
no earlier one hit is a true positive, and takes **all** that it hits. Precision and recall are both
true positives (detections) over detections and over ground truths. Images without a result file
take no part, not even their ground truths. Coordinates of files lose their fractions.

:mod:`vlpt_d2.data.datasets.ctw1500` defines the files: their names, and how lines are read.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import icdar2015
from .pairs import Pairs
from .protocol import Protocol, register_protocol
from .result import ImageResult

__all__ = ["match_pairs", "match_pairs_psenet"]

IOU_THRESHOLD = 0.5
PARAMETERS = {"iou_threshold": IOU_THRESHOLD}


def match_pairs(pairs: Pairs) -> list[ImageResult]:
    """Match images as ``ctw1500``. Marks play no part."""
    return icdar2015.match_pairs(replace(pairs, gt_ignore=np.zeros_like(pairs.gt_ignore)))


def match_pairs_psenet(pairs: Pairs) -> list[ImageResult]:
    """Match images as ``ctw1500-psenet``.

    ``matches`` lists all ground truths that a true positive took, ``num_matches`` counts true
    positives.
    """
    hits = np.flatnonzero(pairs.iou >= IOU_THRESHOLD)
    # The script goes through the detections.
    hits = hits[np.lexsort((pairs.gt[hits], pairs.det[hits]))]
    matches: list[tuple[int, int, float]] = []
    taken: set[int] = set()
    for det, gt, overlap in zip(
        pairs.det[hits].tolist(), pairs.gt[hits].tolist(), pairs.iou[hits].tolist()
    ):
        if gt not in taken:
            taken.add(gt)
            matches.append((gt, det, overlap))
    nothing = np.zeros_like(pairs.gt_ignore), np.zeros(len(pairs.det_image), bool)
    results = pairs.results(matches, *nothing)
    for result in results:
        result.num_matches = len({det for _, det, _ in result.matches})
        result.recall_credit = result.precision_credit = float(result.num_matches)
    return results


register_protocol(
    Protocol(
        "ctw1500",
        "SCUT-CTW1500, IoU > 0.5, no don't-care regions",
        PARAMETERS,
        match_pairs=match_pairs,
        file_format="ctw1500",
        whole_gt=False,
        whole_dt=False,
    )
)
register_protocol(
    Protocol(
        "ctw1500-psenet",
        "SCUT-CTW1500 by PSENet's script, IoU >= 0.5",
        PARAMETERS,
        match_pairs=match_pairs_psenet,
        counts="matched counts detections that hit at least one new ground truth",
        only_with_result=True,
        file_format="ctw1500",
        whole_gt=True,
        whole_dt=True,
        # The script reads y first, as PSENet writes; the benchmark's own results have x first.
        either_order=("ctw1500",),
    )
)
