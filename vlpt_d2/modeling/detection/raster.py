"""Polygons on the pixel grid: what label maps and decoding share."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

# Corner term of a shape with four right angles, straight or bent: the sum of the tangents of half
# its turning angles. With round corners it is pi.
SHARP = 4.0


def signed_distance(
    polygon: np.ndarray, margin: float, image_size: tuple[int, int], *, reach: float = math.inf
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Distance from the border of a polygon, positive for the pixels inside, negative outside.

    Exact for the pixels' centres, up to float32. The cost is that of the pixels within ``reach`` of
    each edge.

    Args:
        polygon: (N, 2), in pixels; pixel (row i, column j) covers [j, j + 1] x [i, i + 1]. Inside
            is meant by the even-odd rule.
        margin: the window is the polygon's bounding box grown by this much and a pixel, within
            the image; without a margin it is the bounding box, and the distance of the pixels
            outside the polygon is only said to be negative or zero.
        image_size: (H, W).
        reach: distances up to this are asked for; a pixel farther from the border is given some
            distance above it, which may be infinite.

    Returns:
        The window's slices, and float32 (h, w) in pixels.
    """
    grown = math.ceil(margin) + 1 if margin > 0 else 0
    window, shape, start, end = _edges_in_window(polygon, grown, image_size)
    if 0 in shape:
        return window, np.zeros(shape, np.float32)
    # Inside a convex polygon the nearest border is the nearest of its edges' lines. Of more than
    # four corners, a ring that turns around twice looks convex too.
    simple = margin <= 0 and len(polygon) <= 4 and (start != end).any(axis=1).all()
    if simple and cv2.isContourConvex(np.asarray(polygon, np.float32)):
        return window, _depth_of_convex(start, end, shape)
    distance = _to_segments(start, end, shape, reach)
    return window, np.negative(distance, out=distance, where=~_inside(start, end, shape))


def pixels_inside(
    polygon: np.ndarray, image_size: tuple[int, int]
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Which pixels have their centre inside a polygon, by the even-odd rule.

    Args:
        polygon: (N, 2), in pixels; pixel (row i, column j) covers [j, j + 1] x [i, i + 1].
        image_size: (H, W).

    Returns:
        The slices of the polygon's bounding box within the image, and bool (h, w).
    """
    window, shape, start, end = _edges_in_window(polygon, 0, image_size)
    return window, np.zeros(shape, bool) if 0 in shape else _inside(start, end, shape)


def _edges_in_window(
    polygon: np.ndarray, grown: int, image_size: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[int, int], np.ndarray, np.ndarray]:
    """Slices and shape of the grown bounding box within the image; the edges' starts and ends.

    These are given in the window, with its pixels' centres at whole numbers.
    """
    height, width = image_size
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    x0 = min(max(math.floor(low[0]) - grown, 0), width)
    y0 = min(max(math.floor(low[1]) - grown, 0), height)
    x1 = max(min(math.ceil(high[0]) + grown, width), x0)
    y1 = max(min(math.ceil(high[1]) + grown, height), y0)
    start = np.asarray(polygon, np.float64) - (x0 + 0.5, y0 + 0.5)
    end = np.concatenate([start[1:], start[:1]])
    return (slice(y0, y1), slice(x0, x1)), (y1 - y0, x1 - x0), start, end


def _depth_of_convex(start: np.ndarray, end: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Signed distance of each grid point to the nearest edge's line, positive inside."""
    height, width = shape
    edge = end - start
    normal = np.column_stack([-edge[:, 1], edge[:, 0]]) / np.hypot(*edge.T)[:, None]
    if (start[:, 0] * end[:, 1] - start[:, 1] * end[:, 0]).sum() < 0:
        normal = -normal
    # The sum of a column's share and a row's share.
    offset = (normal * start).sum(axis=1, keepdims=True)
    columns = (normal[:, :1] * np.arange(width) - offset).astype(np.float32)
    rows = (normal[:, 1:] * np.arange(height)).astype(np.float32)[..., None]
    depth = columns[0] + rows[0]
    other = np.empty_like(depth)
    for column, row in zip(columns[1:], rows[1:]):
        np.minimum(depth, np.add(column, row, out=other), out=depth)
    return depth


def _inside(start: np.ndarray, end: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Whether each grid point has an odd number of edges to its left, bool (h, w)."""
    height, width = shape
    rows = np.arange(height)
    (ax, ay), (bx, by) = start.T[..., None], end.T[..., None]
    crosses = (ay <= rows) != (by <= rows)
    slope = (bx - ax) / np.where(by == ay, 1.0, by - ay)
    # First column at or right of each crossing, in order along each row.
    column = np.where(crosses, np.ceil(ax + (rows - ay) * slope), np.inf)
    column = np.sort(np.clip(column, 0, width), axis=0)
    column = column.astype(np.int16 if width < 2**15 else np.int64)[..., None]
    columns = np.arange(width, dtype=column.dtype)
    inside = (columns >= column[0]) & (columns < column[1])
    # Where the ring turns back, rows enter it more than once.
    for i in range(2, int(crosses.sum(axis=0).max()), 2):
        inside |= (columns >= column[i]) & (columns < column[i + 1])
    return inside


def _to_segments(
    start: np.ndarray, end: np.ndarray, shape: tuple[int, int], reach: float
) -> np.ndarray:
    """Distance of each grid point to the nearest segment, float32 (h, w); see ``reach`` above."""
    height, width = shape
    squared = np.full(shape, np.inf, np.float32)
    edge, middle = end - start, 0.5 * (start + end)
    length = np.hypot(edge[:, 0], edge[:, 1])
    direction = edge / np.where(length > 0, length, 1.0)[:, None]
    direction[length == 0] = 1.0, 0.0  # a repeated point is a segment too, in any direction
    (dx, dy), (mx, my) = direction.T[..., None], middle.T[..., None]
    # Coordinates along and across a segment, from its middle, are the sum of a column's share and
    # a row's share.
    columns, rows = np.arange(width) - mx, np.arange(height) - my
    along_x, along_y = (dx * columns).astype(np.float32), (dy * rows).astype(np.float32)
    across_x, across_y = (-dy * columns).astype(np.float32), (dx * rows).astype(np.float32)
    low = np.clip(np.ceil(np.minimum(start, end) - reach), 0, (width, height)).astype(int)
    high = np.clip(np.floor(np.maximum(start, end) + reach) + 1, 0, (width, height)).astype(int)
    for i, ((x0, y0), (x1, y1)) in enumerate(zip(low.tolist(), high.tolist())):
        if x0 >= x1 or y0 >= y1:
            continue
        # Next to the segment the distance is that to its line; beyond an end, how far beyond it
        # counts too.
        beyond = along_x[i, x0:x1] + along_y[i, y0:y1, None]
        np.abs(beyond, out=beyond)
        beyond -= np.float32(0.5 * length[i])
        np.maximum(beyond, 0, out=beyond)
        beyond *= beyond
        across = across_x[i, x0:x1] + across_y[i, y0:y1, None]
        across *= across
        across += beyond
        nearest = squared[y0:y1, x0:x1]
        np.minimum(nearest, across, out=nearest)
    return np.sqrt(squared, out=squared)


def mean_inside(probability: np.ndarray, polygons: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of a map over the pixels of each polygon, its border's among them.

    Args:
        probability: (H, W) float32.
        polygons: (N_i, 2) each, given by pixel centres and rounded to them.

    Returns:
        (len(polygons),) float64; 0 for a polygon without a pixel on the map.
    """
    means = np.zeros(len(polygons))
    if not len(polygons):
        return means
    counts = [len(polygon) for polygon in polygons]
    ends = np.cumsum(counts, dtype=np.int64)
    starts = ends - np.array(counts, np.int64)
    points = np.rint(np.concatenate(polygons)).astype(np.int32)
    limits = np.array((probability.shape[1], probability.shape[0]), np.int32)
    low = np.clip(np.minimum.reduceat(points, starts), 0, limits)
    high = np.clip(np.maximum.reduceat(points, starts) + 1, 0, limits)
    points -= np.repeat(low, counts, axis=0)
    windows = zip(starts.tolist(), ends.tolist(), low.tolist(), high.tolist())
    for i, (start, end, (x0, y0), (x1, y1)) in enumerate(windows):
        if x0 < x1 and y0 < y1:
            mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
            cv2.fillPoly(mask, [points[start:end]], 1)
            means[i] = cv2.mean(probability[y0:y1, x0:x1], mask)[0]
    return means


def growth(lengths: np.ndarray, areas: np.ndarray, corners: float = SHARP) -> np.ndarray:
    """How far shapes have to grow to gain areas: x of L x + k x^2 = area (Steiner's formula).

    Args:
        lengths: L, the perimeters, (N,) in pixels.
        areas: to be gained, (N,) in square pixels, not negative.
        corners: k.
    """
    return 0.5 * (np.sqrt(lengths * lengths + 4.0 * corners * areas) - lengths) / corners


def pixel_counts(contours: Sequence[np.ndarray]) -> np.ndarray:
    """Number of pixels on and within each contour, by Pick's theorem: A + B / 2 + 1.

    Args:
        contours: of ``cv2.findContours``, of all pixels or of the ends of straight runs.
    """
    if not contours:
        return np.zeros(0)
    sizes = [len(contour) for contour in contours]
    starts = np.cumsum([0, *sizes[:-1]])
    points = np.concatenate(contours).reshape(-1, 2).astype(np.int64)
    following = np.roll(points, -1, axis=0)
    following[np.cumsum(sizes) - 1] = points[starts]
    turns = points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0]
    areas = 0.5 * np.abs(np.add.reduceat(turns, starts))
    # Runs are upright, level or diagonal, so the longer coordinate counts their pixels.
    steps = np.add.reduceat(np.abs(following - points).max(axis=1), starts)
    return areas + 0.5 * steps + 1.0
