"""Locality-aware NMS of EAST (EAST paper section 3.6; argman/EAST lanms), in numpy.

Boxes are rectangles and their weighted means, corner by corner, which are parallelograms. Inside
this file a list of N of them is a (6, N) float64 array: the centre (x, y), and the halves e and f
of the sides that run to the right and down; the corners are centre -+ e -+ f. A mean of corners is
the mean of these numbers, and areas of what two boxes share are exact.
"""

from collections import Counter

import numpy as np

# Boxes whose overlaps with all others are looked at together in the suppression.
_BLOCK = 128
# Boxes after one that starts or stops starting a merged box of which nothing is concluded yet.
_SETTLES = 8


def locality_aware_nms(
    corners: np.ndarray,
    scores: np.ndarray,
    thresh: float = 0.2,
    *,
    max_boxes: int = 0,
    counts: Counter | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Merge rectangles with their neighbours in the list, then keep the best of those that overlap.

    Args:
        corners: (N, 4, 2), in cyclic order, the same way round for all; listed in row-major order
            of the cells they come from.
        scores: (N,), positive.
        thresh: boxes are merged, and suppressed, above this IoU.
        max_boxes: merged boxes that are kept for the suppression, highest scores first; 0: all.
        counts: receives the number of merged boxes ("boxes") and of those beyond ``max_boxes``
            ("dropped_boxes").

    Returns:
        Corners (M, 4, 2) and the sums of the scores they were merged from, (M,), highest first.
    """
    scores = np.asarray(scores, np.float64)
    boxes, scores = merge_in_rounds(boxes_from_corners(corners), scores, thresh)
    order = np.argsort(-scores, kind="stable")[: max_boxes or None]
    if counts is not None:
        counts.update(boxes=len(scores), dropped_boxes=len(scores) - len(order))
    keep = order[suppress(boxes[:, order], thresh)]
    return corners_of_boxes(boxes[:, keep]), scores[keep]


def merge_in_rounds(
    boxes: np.ndarray, scores: np.ndarray, thresh: float
) -> tuple[np.ndarray, np.ndarray]:
    """Merge each box with the merged box before it if their IoU is above the threshold.

    The merged box is the mean of its boxes' corners weighted by their scores, each box's corners
    cyclically shifted to lie nearest to the merged box as it was before, and the sum of the
    scores. That is a loop over the boxes; here it runs over all of them at once.

    Which boxes start a new merged box, and how far the corners of the others are shifted, is
    guessed for all boxes (at first: every box starts one), and the guess is checked for all boxes
    at once by means over the runs it makes. Where the check disagrees, the guess is changed, and
    the boxes whose means have changed are checked again. A guess that passes the check everywhere
    is the sequential result: the first box is always right, and each next one if those before it
    are. So every round settles at least one more box; in practice a few rounds settle all.

    Args:
        boxes: (6, N).
        scores: (N,), positive.
        thresh: see above.

    Returns:
        Merged boxes (6, M) and scores (M,), in order.
    """
    n = len(scores)
    if n == 0:
        return boxes, scores
    starts, shifts = np.ones(n, bool), np.zeros(n, np.int64)
    # The boxes, corners shifted, times their weights, and these; and their sums from the start.
    weighted = np.concatenate([boxes * scores, scores[None]])
    sums = np.zeros((7, n + 1))
    np.cumsum(weighted, axis=1, out=sums[:, 1:])
    places = np.arange(n)
    check, first = places[1:], places[:-1]
    while len(check):
        mean = _means(sums, first, check)[0]
        here = boxes.take(check, axis=1)
        start = overlap_ratio(mean, here) <= thresh
        shift = np.where(start, 0, nearest_shift(mean, here))
        flipped, moved = start != starts[check], shift != shifts[check]
        wrong = check[flipped | moved]
        # A flip right behind another one was found with a mean that the first has changed.
        late = np.flatnonzero(flipped)
        near = (first[late[1:]] == first[late[:-1]]) & (np.diff(check[late]) <= _SETTLES)
        late = late[1:][near]
        flipped[late] = moved[late] = False
        starts[check[flipped]] = start[flipped]
        if moved.any():
            redo = check[moved]
            shifts[redo] = shift[moved]
            weighted[:6, redo] = shift_corners(boxes[:, redo], shifts[redo]) * scores[redo]
            np.cumsum(weighted, axis=1, out=sums[:, 1:])
        run = np.maximum.accumulate(np.where(starts, places, 0))
        # Where the check first disagreed in each run: the boxes after it have a new mean.
        since = np.full(n, n)
        since[run[wrong[::-1]]] = wrong[::-1]
        check = 1 + np.flatnonzero(since[run[:-1]] <= places[:-1])
        first = run[check - 1]
    first = np.flatnonzero(starts)
    return _means(sums, first, np.append(first[1:], n))


def _means(sums: np.ndarray, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means (6, K) of the boxes from first to before last, and their weights (K,)."""
    total = sums.take(last, axis=1) - sums.take(first, axis=1)
    return total[:6] / total[6], total[6]


def suppress(boxes: np.ndarray, thresh: float) -> np.ndarray:
    """Indices of the boxes whose IoU with every better one that is kept is small enough.

    Args:
        boxes: (6, N), best first.
        thresh: largest IoU that is small enough.
    """
    kept, left = [np.zeros(0, np.int64)], np.arange(boxes.shape[1])
    half = np.abs(boxes[2:4]) + np.abs(boxes[4:6])
    extents = np.concatenate([boxes[:2] - half, -boxes[:2] - half])
    areas = 4 * np.abs(_cross(boxes[2:4], boxes[4:6]))
    while len(left):
        block, rest = left[:_BLOCK], left[_BLOCK:]
        clash = _overlapping(boxes, areas, extents, block, block, thresh)
        dead, chosen = np.zeros(len(block), bool), []
        for i in range(len(block)):
            if not dead[i]:
                chosen.append(i)
                dead |= clash[i]
        kept.append(block[chosen])
        left = rest[~_overlapping(boxes, areas, extents, kept[-1], rest, thresh).any(axis=0)]
    return np.concatenate(kept)


def _overlapping(
    boxes: np.ndarray,
    areas: np.ndarray,
    extents: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    thresh: float,
) -> np.ndarray:
    """Whether the IoU of each of the first boxes with each of the second is above the threshold.

    ``extents`` (4, N) are the bounding boxes: lowest x and y, and highest x and y, negated.
    """
    # IoU > t means that the intersection is above t / (1 + t) of the sum of the areas. The bounding
    # boxes' intersection and the smaller area show most pairs to be below.
    area, other = areas[first][:, None], areas[second]
    needed = (thresh / (1 + thresh)) * (area + other)
    low = np.maximum(extents[:, first][:, :, None], extents[:, second][:, None])
    bound = np.maximum(-low[2] - low[0], 0) * np.maximum(-low[3] - low[1], 0)
    rows, columns = np.nonzero(np.minimum(np.minimum(area, other), bound) > needed)
    common = intersection_area(boxes[:, first[rows]], boxes[:, second[columns]])
    clash = np.zeros(needed.shape, bool)
    clash[rows, columns] = common > needed[rows, columns]
    return clash


def boxes_from_corners(corners: np.ndarray) -> np.ndarray:
    """(N, 4, 2) corners of parallelograms, from the top left on, to (6, N) boxes."""
    c = np.asarray(corners, np.float64).transpose(1, 2, 0)
    return np.concatenate([0.5 * (c[0] + c[2]), 0.5 * (c[1] - c[0]), 0.5 * (c[3] - c[0])])


def corners_of_boxes(boxes: np.ndarray) -> np.ndarray:
    """(6, N) boxes to (N, 4, 2) corners."""
    centre, e, f = boxes[:2], boxes[2:4], boxes[4:6]
    corners = np.stack([centre - e - f, centre + e - f, centre + e + f, centre - e + f])
    return np.ascontiguousarray(corners.transpose(2, 0, 1))


def overlap_ratio(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU of boxes pair by pair, (6, N) and (6, N) to (N,)."""
    common = intersection_area(first, second)
    total = sum(4 * np.abs(_cross(boxes[2:4], boxes[4:6])) for boxes in (first, second))
    return common / np.maximum(total - common, 1e-9)


def nearest_shift(target: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """By how many corners to shift boxes so that they lie nearest to others, (N,) in 0..3.

    Nearest in the sum of the squared distances of corresponding corners; see
    :func:`shift_corners`. Without this, two boxes on both sides of the end of the range of angles
    would be averaged corner to wrong corner, and vanish.
    """
    # The sum is the smaller, the larger this product of the sides is; shifts by two turn its sign.
    none = _dot(target[2:4], boxes[2:4]) + _dot(target[4:6], boxes[4:6])
    one = _dot(target[2:4], boxes[4:6]) - _dot(target[4:6], boxes[2:4])
    shift = np.where(
        np.abs(none) >= np.abs(one), np.where(none >= 0, 0, 2), np.where(one > 0, 1, 3)
    )
    return shift


def shift_corners(boxes: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Call corner ``shift`` of each box (6, N) its first: the same box, named by other corners."""
    odd = (shift % 2).astype(bool)
    e = np.where(odd, boxes[4:6], boxes[2:4])
    f = np.where(odd, -boxes[2:4], boxes[4:6])
    sign = np.where(shift >= 2, -1.0, 1.0)
    return np.concatenate([boxes[:2], sign * e, sign * f])


def intersection_area(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Area that boxes share, pair by pair, (6, N) and (6, N) to (N,).

    In coordinates (u, v) in which the first box is the square from -1 to 1, it is the integral,
    once around the second box, of v clamped to the square over the part of u within the square.
    """
    area = _cross(first[2:4], first[4:6])
    scale = np.where(np.abs(area) > 1e-9, area, np.inf)
    shift = second[:2] - first[:2]
    u, ue, uf = (_cross(x, first[4:6]) / scale for x in (shift, second[2:4], second[4:6]))
    v, ve, vf = (_cross(first[2:4], x) / scale for x in (shift, second[2:4], second[4:6]))
    corners = [(u - ue - uf, v - ve - vf), (u + ue - uf, v + ve - vf)]
    corners += [(u + ue + uf, v + ve + vf), (u - ue + uf, v - ve + vf)]
    # Opposite sides have the same slope; that of an upright side is of no account.
    slopes = [dv / np.where(np.abs(du) > 1e-12, du, np.inf) for du, dv in ((ue, ve), (uf, vf))]
    ends = [np.minimum(np.maximum(u, -1), 1) for u, _ in corners]
    total = 0.0
    for i, (u, v) in enumerate(corners):
        start, end = ends[i], ends[i - 3]
        low, high = v + (start - u) * slopes[i % 2], v + (end - u) * slopes[i % 2]
        mean = _mean_positive_part(low + 1, high + 1) - _mean_positive_part(low - 1, high - 1)
        total = total + (end - start) * mean
    return np.abs(total * area)


def _mean_positive_part(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Mean of max(x, 0) while x goes from start to end."""
    a, b = np.maximum(start, 0), np.maximum(end, 0)
    way = end - start
    # The share of the way on which x is positive; no difference of squares is taken.
    still = np.abs(way) < 1e-12
    share = np.where(still, start > 0, (b - a) / np.where(still, 1.0, way))
    return 0.5 * (a + b) * share


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[0] * b[1] - a[1] * b[0]


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[0] * b[0] + a[1] * b[1]
