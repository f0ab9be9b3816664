"""Locality-aware merging as the algorithm is written down."""

import numpy as np

from vlpt_d2.modeling.detection.east import nms


def merge_sequentially(boxes, scores, thresh):
    """:func:`nms.merge_in_rounds` as the algorithm is written down, one box after the other."""
    merged, sums = [], []
    for i, score in enumerate(scores.tolist()):
        box = boxes[:, i : i + 1]
        if merged and nms.overlap_ratio(merged[-1], box)[0] > thresh:
            box = nms.shift_corners(box, nms.nearest_shift(merged[-1], box))
            total = sums[-1] + score
            merged[-1] = (merged[-1] * sums[-1] + box * score) / total
            sums[-1] = total
        else:
            merged.append(box)
            sums.append(score)
    return np.concatenate([np.zeros((6, 0)), *merged], axis=1), np.asarray(sums, np.float64)
