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
# The signs of e and f in the corners.
_ALONG_E, _ALONG_F = np.array([[-1.0, 1.0, 1.0, -1.0], [-1.0, -1.0, 1.0, 1.0]])[..., None]
# Pairs of boxes whose areas are computed together; with more, the arrays leave the cache.
_PAIRS = 4000
# Boxes after one that starts or stops starting a merged box of which nothing is concluded yet.
_SETTLES = 8


def locality_aware_nms(
    corners: np.ndarray,
    scores: np.ndarray,
    thresh: float = 0.2,
    *,
    max_boxes: int = 0,
) -> tuple[np.ndarray, np.ndarray, Counter[str]]:
    """Merge rectangles with their neighbours in the list, then keep the best of those that overlap.

    Args:
        corners: (N, 4, 2), in cyclic order, the same way round for all; listed in row-major order
            of the cells they come from.
        scores: (N,), positive.
        thresh: boxes are merged, and suppressed, above this IoU.
        max_boxes: merged boxes that are kept for the suppression, highest scores first; 0: all.

    Returns:
        Corners (M, 4, 2) and the sums of the scores they were merged from, (M,), highest first; and
        the number of merged boxes ("boxes") and of those beyond ``max_boxes`` ("dropped_boxes").
    """
    scores = np.asarray(scores, np.float64)
    boxes, scores = merge_in_rounds(boxes_from_corners(corners), scores, thresh)
    order = np.argsort(-scores, kind="stable")[: max_boxes or None]
    counts = Counter(boxes=len(scores), dropped_boxes=len(scores) - len(order))
    keep = order[suppress(boxes[:, order], thresh)]
    return corners_of_boxes(boxes[:, keep]), scores[keep], counts


def merge_in_rounds(
    boxes: np.ndarray, scores: np.ndarray, thresh: float
) -> tuple[np.ndarray, np.ndarray]:
    """Merge each box with the merged box before it if their IoU is above the threshold.

    The merged box is the mean of its boxes' corners weighted by their scores, each box's corners
    cyclically shifted to lie nearest to the merged box as it was before, and the sum of the
    scores. That is a loop over the boxes; here it runs over all of them at once.

    Which boxes start a new merged box, and how far the corners of the others are shifted, is
    guessed for all boxes (at first from the bounding boxes), and the guess is checked for all boxes
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
    places = np.arange(n)
    bounds = _bounds(boxes)
    areas, common = _shared(bounds, bounds), _shared(bounds[:, :-1], bounds[:, 1:])
    starts = np.append(True, common <= thresh * (areas[:-1] + areas[1:] - common))
    shifts = np.zeros(n, np.int64)
    # The boxes, corners shifted, times their weights, and these; and their sums from the start.
    weighted = np.concatenate([boxes * scores, scores[None]])
    sums = np.zeros((7, n + 1))
    np.cumsum(weighted, axis=1, out=sums[:, 1:])
    check = places[1:]
    first = np.maximum.accumulate(np.where(starts, places, 0))[:-1]
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
            np.cumsum(weighted[2:6], axis=1, out=sums[2:6, 1:])
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
    bounds, areas = _bounds(boxes), 4 * np.abs(_cross(boxes[2:4], boxes[4:6]))

    def overlapping(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Whether the IoU of each of the first boxes with each of the second is too large."""
        # IoU > t means that the intersection is above t / (1 + t) of the sum of the areas. The
        # bounding boxes' intersection and the smaller area show most pairs to be below.
        area, other = areas[first, None], areas[second]
        needed = (thresh / (1 + thresh)) * (area + other)
        most = np.minimum(area, other)
        clash = np.minimum(most, _shared(bounds[:, first, None], bounds[:, None, second])) > needed
        rows, columns = np.nonzero(clash)
        if len(rows):
            common = intersection_area(boxes[:, first[rows]], boxes[:, second[columns]])
            clash[rows, columns] = common > needed[rows, columns]
        return clash

    while len(left):
        block, rest = left[:_BLOCK], left[_BLOCK:]
        clash = overlapping(block, block)
        dead, chosen = np.zeros(len(block), bool), []
        for i in range(len(block)):
            if not dead[i]:
                chosen.append(i)
                dead |= clash[i]
        kept.append(block[chosen])
        left = rest[~overlapping(kept[-1], rest).any(axis=0)]
    return np.concatenate(kept)


def _bounds(boxes: np.ndarray) -> np.ndarray:
    """Bounding boxes: the lowest x and y, and the highest x and y, negated, (4, N)."""
    half = np.abs(boxes[2:4]) + np.abs(boxes[4:6])
    return np.concatenate([boxes[:2] - half, -boxes[:2] - half])


def _shared(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Area that bounding boxes share."""
    low = np.maximum(first, second)
    return np.maximum(-low[2] - low[0], 0) * np.maximum(-low[3] - low[1], 0)


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
    if first.shape[1] > _PAIRS:
        blocks = [slice(i, i + _PAIRS) for i in range(0, first.shape[1], _PAIRS)]
        return np.concatenate([intersection_area(first[:, b], second[:, b]) for b in blocks])
    e, f = first[2:4], first[4:6]
    area = _cross(e, f)
    scale = np.where(np.abs(area) > 1e-9, area, np.inf)
    parts = np.stack([second[:2] - first[:2], second[2:4], second[4:6]], axis=1)
    u, v = (_cross(x, y) / scale for x, y in ((parts, f[:, None]), (e[:, None], parts)))
    # Opposite sides have the same slope; that of an upright side is of no account.
    slopes = v[1:] / np.where(np.abs(u[1:]) > 1e-12, u[1:], np.inf)
    slopes = np.concatenate([slopes, slopes])
    u, v = (x + _ALONG_E * y + _ALONG_F * z for x, y, z in (u, v))
    start = _clamped(u)
    end = start[[1, 2, 3, 0]]
    means = _mean_clamped(v + (start - u) * slopes, v + (end - u) * slopes)
    return np.abs(((end - start) * means).sum(axis=0) * area)


def _mean_clamped(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Mean of x clamped to -1 to 1 while x goes from start to end."""
    a, b = _clamped(start), _clamped(end)
    way = end - start
    # The integral over the part within the range, and beyond it; no difference of squares is taken.
    total = 0.5 * (a + b) * (b - a) + (np.maximum(np.abs(end), 1) - np.maximum(np.abs(start), 1))
    still = (np.abs(way) < 1e-12).astype(np.float64)
    return (total + still * a) / (way + still)


def _clamped(x: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(x, -1), 1)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[0] * b[1] - a[1] * b[0]


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[0] * b[0] + a[1] * b[1]
