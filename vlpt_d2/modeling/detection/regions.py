"""Numbered regions of a map: which of them are texts, and the polygons around these."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import shapely
from scipy import ndimage

from .decoded import largest
from .raster import growth, pixel_counts

_POLYGON = 3  # of shapely.get_type_id
# How far a pointed corner of a grown ring may reach, in units of the growth.
_MITRE_LIMIT = 5.0


def choose_regions(
    labels: np.ndarray,
    probability: np.ndarray,
    *,
    score_thresh: float,
    min_area: float,
    max_candidates: int,
) -> tuple[np.ndarray, np.ndarray, Counter[str]]:
    """Find the regions that are large and sure enough, the largest ``max_candidates`` of them.

    Args:
        labels: (H, W) int32, the number of each pixel's region; 0 is ground.
        probability: (H, W) float32; its mean over a region is the score.
        score_thresh: regions with a smaller score are left out.
        min_area: and those with fewer pixels.
        max_candidates: see above; 0: all.

    Returns:
        The numbers of the regions, in order, their scores, (M,) float32, and the counts; see
        :func:`~.decoded.largest`.
    """
    pixels = np.flatnonzero(labels)
    owners = labels.ravel()[pixels].astype(np.intp)  # counted twice
    areas = np.bincount(owners)
    scores = np.bincount(owners, probability.ravel()[pixels]) / np.maximum(areas, 1)
    kept = np.flatnonzero((areas >= max(min_area, 1)) & (scores >= score_thresh))
    kept, counts = largest(kept, areas, max_candidates)
    return kept, scores[kept].astype(np.float32), counts


def outline_regions(
    labels: np.ndarray,
    kept: np.ndarray,
    *,
    polygon_mode: bool,
    epsilon: float = 0.5,
    closing: int = 1,
) -> list[np.ndarray]:
    """Outline regions; of one in several parts, the part with the largest outline.

    Outlines run through pixel centres, and are moved out until they enclose the area of their
    pixels.

    Args:
        labels: (H, W) int32.
        kept: the numbers to outline; all of them have pixels.
        polygon_mode: outlines are simplified contours, without holes; otherwise minimum-area
            rectangles.
        epsilon: tolerance of the simplification, in pixels.
        closing: side, an odd number, of the square of pixels that closes gaps of a region first.

    Returns:
        (N, 2) float32 points (x, y) each, (0, 0) the corner of the first pixel; N = 4 without
        ``polygon_mode``.
    """
    contours = _contours(labels, kept, closing)
    areas = pixel_counts(contours)
    outlines = _outlines(contours, areas, epsilon) if polygon_mode else _boxes(contours, areas)
    return [(outline + 0.5).astype(np.float32) for outline in outlines]


def _contours(labels: np.ndarray, kept: np.ndarray, closing: int) -> list[np.ndarray]:
    """Outer contours (K, 2) int32."""
    # Early maps have tens of thousands of regions, of which few are kept.
    numbers = np.zeros(labels.max() + 1, np.int32)
    numbers[kept] = np.arange(1, len(kept) + 1)
    labels = numbers[labels]
    square, margin = np.ones((closing, closing), np.uint8), closing // 2
    contours = []
    for number, window in enumerate(ndimage.find_objects(labels), 1):
        rows, columns = window
        region = (labels[window] == number).view(np.uint8)
        if margin:
            sides = (margin, margin, margin, margin)
            region = cv2.copyMakeBorder(region, *sides, cv2.BORDER_CONSTANT, value=0)
            region = cv2.morphologyEx(region, cv2.MORPH_CLOSE, square, borderValue=0)
        parts, _ = cv2.findContours(
            region,
            cv2.RETR_EXTERNAL,
            cv2.CHAIN_APPROX_NONE,
            offset=(columns.start - margin, rows.start - margin),
        )
        if len(parts) > 1:
            # A ring of n pixels is at most n * sqrt(2) long: most are too short to be the largest.
            least = math.sqrt(2 * math.pi * cv2.contourArea(max(parts, key=len)))
            parts = [part for part in parts if len(part) >= least]
            parts = [max(parts, key=cv2.contourArea)]
        contours.append(parts[0][:, 0])
    return contours


def _boxes(contours: Sequence[np.ndarray], areas: np.ndarray) -> list[np.ndarray]:
    """Smallest rectangles around the grown convex hulls of the regions, (4, 2) each."""
    hulls = [cv2.convexHull(c)[:, 0] for c in contours]
    # A region with bays has less area than its hull, which then stays as it is.
    return [cv2.boxPoints(cv2.minAreaRect(ring)) for ring in _grow(hulls, areas, _move_hulls)]


def _outlines(
    contours: Sequence[np.ndarray], areas: np.ndarray, epsilon: float
) -> list[np.ndarray]:
    """Simplified contours grown to the pixels' area, (K, 2) each."""
    if epsilon > 0:
        contours = [cv2.approxPolyDP(c, epsilon, True)[:, 0] for c in contours]
    return _grow(contours, areas, _move_contours)


def _grow(rings: Sequence[np.ndarray], areas: np.ndarray, move: Callable) -> list[np.ndarray]:
    """Move rings through pixel centres out, by half a pixel at most, to enclose an area.

    Upright rectangles of pixels grow by exactly half a pixel, slanted edges by less, since some
    pixel centre always comes close to a slanted border.

    Args:
        rings: (K, 2) int32 each.
        areas: to be enclosed.
        move: :func:`_move_contours`, or :func:`_move_hulls` if all rings are convex.

    Returns:
        (K, 2) float32 each.
    """
    inner = np.array([cv2.contourArea(r) for r in rings])
    # A line of pixels has no area, and grows to a rectangle.
    grown = [_pixel_rectangle(ring) if area <= 0 else ring for ring, area in zip(rings, inner)]
    solid = np.flatnonzero(inner > 0)
    if solid.size:
        missing = np.maximum(np.asarray(areas)[solid] - inner[solid], 0.0)
        for i, ring in zip(solid.tolist(), move([rings[i] for i in solid.tolist()], missing)):
            grown[i] = ring
    return grown


def _growths(lengths: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """How far rings of these lengths move out to enclose so much more, half a pixel at most."""
    return np.minimum(growth(lengths, missing), 0.5)


def _move_contours(rings: Sequence[np.ndarray], missing: np.ndarray) -> list[np.ndarray]:
    """Rings moved out, with pointed corners, until they enclose so much more."""
    owners = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    shapes = shapely.polygons(shapely.linearrings(np.concatenate(rings), indices=owners))
    growths = _growths(shapely.length(shapes), missing)
    shapes = shapely.buffer(shapes, growths, join_style="mitre", mitre_limit=_MITRE_LIMIT)
    # A simplified contour may cross itself; growing repairs it, and may leave crumbs.
    for i in np.flatnonzero(shapely.get_type_id(shapes) != _POLYGON):
        shapes[i] = max(shapely.get_parts(shapes[i]), key=shapely.area)
    points, owners = shapely.get_coordinates(shapely.get_exterior_ring(shapes), return_index=True)
    points = points.astype(np.float32)
    ends = np.cumsum(np.bincount(owners, minlength=len(rings))).tolist()
    return [points[start : end - 1] for start, end in zip([0, *ends], ends)]


def _move_hulls(rings: Sequence[np.ndarray], missing: np.ndarray) -> list[np.ndarray]:
    """The same for convex rings, all at once: each corner moves along its bisector."""
    sizes = np.array([len(ring) for ring in rings])
    ends = np.cumsum(sizes)
    starts = ends - sizes
    points = np.concatenate(rings).astype(np.float64)
    following = np.arange(1, len(points) + 1)
    following[ends - 1] = starts
    edges = points[following] - points
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    after = edges / lengths[:, None]
    before = np.empty_like(after)
    before[following] = after
    # Outward normals, for the way round that OpenCV gives hulls, add up to the bisector.
    bisectors = (before + after)[:, ::-1] * (1.0, -1.0)
    sharpness = 1.0 + (before * after).sum(axis=1)
    growths = _growths(np.add.reduceat(lengths, starts), missing)
    moved = points + (np.repeat(growths, sizes) / np.maximum(sharpness, 1e-9))[:, None] * bisectors
    moved = np.split(moved.astype(np.float32), ends[:-1])
    # Of the sharpest corners the points are cut off.
    cut = np.logical_or.reduceat(sharpness < 2.0 / _MITRE_LIMIT**2, starts)
    if cut.any():
        which = np.flatnonzero(cut).tolist()
        for i, ring in zip(which, _move_contours([rings[i] for i in which], missing[which])):
            moved[i] = ring
    return moved


def _pixel_rectangle(centres: np.ndarray) -> np.ndarray:
    centre, (a, b), angle = cv2.minAreaRect(centres)
    return cv2.boxPoints((centre, (a + 1, b + 1), angle))
