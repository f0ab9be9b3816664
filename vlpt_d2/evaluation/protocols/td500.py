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

:mod:`vlpt_d2.data.datasets.msra_td500` defines the files: their names, and how lines are read.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .icdar2015 import ICDAR2015
from .pairs import Pairs
from .protocol import Protocol, register_protocol
from .result import ImageResult

__all__ = ["match_pairs"]

IOU_THRESHOLD = 0.5
PARAMETERS = {"iou_threshold": IOU_THRESHOLD}


def match_pairs(pairs: Pairs) -> list[ImageResult]:
    """Match images as ``td500-psenet``; the marks are "difficult".

    ``num_gt`` counts matched lines and missed easy ones, ``ignored_gt`` lists missed difficult
    ones.
    """
    hits = np.flatnonzero(pairs.iou >= IOU_THRESHOLD)
    # Of the pairs of one ground truth the first is the script's.
    matched, first = np.unique(pairs.gt[hits], return_index=True)
    chosen = hits[first]
    missed = np.ones_like(pairs.gt_ignore)
    missed[matched] = False
    matches = zip(matched.tolist(), pairs.det[chosen].tolist(), pairs.iou[chosen].tolist())
    ignored_det = np.zeros(len(pairs.det_image), bool)
    return pairs.results(list(matches), missed & pairs.gt_ignore, ignored_det)


register_protocol(
    replace(
        ICDAR2015,
        name="td500",
        title="MSRA-TD500, IoU > 0.5, difficult lines are don't-care regions",
        file_format="td500",
        whole_gt=False,
        whole_dt=False,
    )
)
register_protocol(
    Protocol(
        "td500-psenet",
        "MSRA-TD500 by PSENet's script, IoU >= 0.5",
        PARAMETERS,
        match_pairs=match_pairs,
        counts="gt_care counts matched lines, difficult ones too, and missed lines that are easy",
        only_with_result=True,
        file_format="td500",
        whole_gt=False,
        whole_dt=True,
    )
)
