"""From DB's probability map to text polygons (MhLiao/DB structure/representers)."""

from collections.abc import Sequence
from itertools import compress

import cv2
import numpy as np
import shapely

from ..raster import mean_inside
from .unclip import exact_polygons, published_boxes, published_polygons

# Tolerances in pixels of the outlines that grow: the steps of a slanted border on the pixel grid
# are no corners. A hull has fewer of them than a contour.
_HULL_TOLERANCE, _CONTOUR_TOLERANCE = 0.75, 1.0


def decode_probability_map(
    probability: np.ndarray,
    *,
    polygon_mode: bool = False,
    binary_thresh: float = 0.3,
    box_thresh: float = 0.6,
    unclip: str = "published",
    unclip_ratio: float = 1.5,
    shrink_ratio: float = 0.4,
    min_size: float = 3.0,
    max_candidates: int = 1000,
    epsilon: float = 0.002,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Find the texts of a probability map.

    Regions above ``binary_thresh`` are outlined, scored by the mean probability inside the
    outline, and grown back to the texts they are shrunk from (see :mod:`.unclip`).

    Args:
        probability: (H, W) float32 in [0, 1].
        polygon_mode: outlines are simplified contours and grow into polygons; otherwise they are
            minimum-area rectangles and the texts are, too.
        binary_thresh, box_thresh: thresholds on pixels and on scores.
        unclip: "published", by area * ``unclip_ratio`` / perimeter, or "exact", the inverse of the
            labels' shrinking. The first grows the outline, the second the region itself, of which
            a box is then the minimum-area rectangle.
        unclip_ratio: of "published".
        shrink_ratio: of the labels, for "exact".
        min_size: drop regions whose minimum-area rectangle has a side below this many pixels, and
            grown ones with a side below this + 2.
        max_candidates: regions looked at, largest bounding boxes first.
        epsilon: simplification tolerance of ``polygon_mode``, as a share of the perimeter, but a
            pixel at least.

    Returns:
        Polygons as (N, 2) float32 arrays of (x, y) pixels (N = 4 in box mode, clockwise on
        screen), which may reach beyond the map, and their scores, (M,) float32.

    Raises:
        ValueError: ``unclip`` is neither.
    """
    if unclip not in ("published", "exact"):
        raise ValueError(f'MODEL.DB.UNCLIP is "published" or "exact", not {unclip!r}')
    contours = _text_contours(probability > binary_thresh, min_size, max_candidates)
    rectangles = _rectangles(contours)
    large = rectangles[:, 2:4].min(axis=1) + 1.0 >= min_size
    contours, rectangles = list(compress(contours, large)), rectangles[large]
    if polygon_mode:
        outlines = [_simplified(contour, epsilon) for contour in contours]
    else:
        outlines = _corners(rectangles)
    scores = mean_inside(probability, outlines)
    sure = scores >= box_thresh
    if polygon_mode:
        sure &= np.fromiter((len(outline) >= 4 for outline in outlines), bool, len(outlines))
    scores = scores[sure]

    if polygon_mode or unclip == "exact":
        outlines, contours = list(compress(outlines, sure)), list(compress(contours, sure))
        if not polygon_mode:
            outlines = [_smooth_hull(contour) for contour in contours]
        if unclip == "exact":
            shapes = exact_polygons(outlines, _pixel_counts(contours), shrink_ratio)
        else:
            shapes = published_polygons(outlines, unclip_ratio)
        texts, whole = _rings(shapes)
        rectangles, scores = _rectangles(texts), scores[whole]
    else:
        rectangles = published_boxes(rectangles[sure], unclip_ratio)
    large = rectangles[:, 2:4].min(axis=1) >= min_size + 2
    polygons = list(compress(texts, large)) if polygon_mode else _corners(rectangles[large])
    # Contours run through pixel centres; image coordinates start at a pixel's corner.
    polygons = [polygon + np.float32(0.5) for polygon in polygons]
    return polygons, scores[large].astype(np.float32)


def _text_contours(binary: np.ndarray, min_size: float, max_candidates: int) -> list[np.ndarray]:
    """Outer contours of the regions; where these are too many, of those that may pass ``min_size``,
    largest bounding box first.
    """
    # Two levels: what lies in the hole of another region is an outer contour of its own.
    contours, hierarchy = cv2.findContours(
        binary.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    if not contours:
        return []
    outer = np.flatnonzero(hierarchy[0, :, 3] < 0).tolist()
    if len(outer) <= max_candidates:
        return [contours[i] for i in outer]
    # The map of a network in its first epochs holds tens of thousands of specks. Of one or two
    # points are those without a width.
    if min_size > 1.0:
        outer = [i for i in outer if len(contours[i]) > 2]
    # The bounding box is one enclosing rectangle, so it bounds the area of the smallest one, and
    # with it the square of that one's short side: this drops nothing that would have passed.
    boxes = np.array([cv2.boundingRect(contours[i]) for i in outer], np.float64).reshape(-1, 4)
    extents = (boxes[:, 2] - 1.0) * (boxes[:, 3] - 1.0)
    order = np.argsort(-extents, kind="stable")[:max_candidates]
    order = order[extents[order] >= max(min_size - 1.0, 0.0) ** 2]
    return [contours[outer[i]] for i in order.tolist()]


def _rectangles(rings: Sequence[np.ndarray]) -> np.ndarray:
    """Minimum-area rectangles, rows (centre x, centre y, width, height, degrees)."""
    rectangles = [(*centre, *sides, angle) for centre, sides, angle in map(cv2.minAreaRect, rings)]
    return np.array(rectangles, np.float64).reshape(-1, 5)


def _corners(rectangles: np.ndarray) -> np.ndarray:
    """``cv2.boxPoints`` of rows (centre x, centre y, width, height, degrees), (N, 4, 2) float32."""
    centre, half = rectangles[:, None, :2], 0.5 * rectangles[:, 2:4, None]
    radians = np.radians(rectangles[:, 4])
    cos, sin = np.cos(radians), np.sin(radians)
    right = half[:, 0] * np.stack([cos, sin], axis=1)
    down = half[:, 1] * np.stack([-sin, cos], axis=1)
    offsets = np.stack([down - right, -down - right, right - down, right + down], axis=1)
    return (centre + offsets).astype(np.float32)


def _simplified(contour: np.ndarray, epsilon: float) -> np.ndarray:
    tolerance = max(epsilon * cv2.arcLength(contour, True), _CONTOUR_TOLERANCE)
    return cv2.approxPolyDP(contour, tolerance, True)[:, 0]


def _smooth_hull(contour: np.ndarray) -> np.ndarray:
    return cv2.approxPolyDP(cv2.convexHull(contour), _HULL_TOLERANCE, True)[:, 0]


def _pixel_counts(contours: Sequence[np.ndarray]) -> np.ndarray:
    """Number of pixels on and within each contour, by Pick's theorem: A + B / 2 + 1."""
    if not contours:
        return np.zeros(0)
    sizes = [len(contour) for contour in contours]
    starts = np.cumsum([0, *sizes[:-1]])
    points = np.concatenate(contours)[:, 0].astype(np.int64)
    following = np.roll(points, -1, axis=0)
    following[np.cumsum(sizes) - 1] = points[starts]
    turns = points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0]
    areas = 0.5 * np.abs(np.add.reduceat(turns, starts))
    # Runs are upright, level or diagonal, so the longer coordinate counts their pixels.
    steps = np.add.reduceat(np.abs(following - points).max(axis=1), starts)
    return areas + 0.5 * steps + 1.0


def _rings(shapes: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Outer rings of the shapes that are one polygon, and which shapes these are.

    As in the reference, a text that falls apart is no detection.
    """
    whole = shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON.value
    whole &= ~shapely.is_empty(shapes)
    rings = shapely.get_exterior_ring(shapes[whole])
    return [shapely.get_coordinates(ring)[:-1].astype(np.float32) for ring in rings], whole
