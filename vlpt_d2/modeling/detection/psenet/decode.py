"""From PSENet's kernel maps to text polygons (whai362/PSENet models/head/psenet_head.py)."""

from collections.abc import Sequence

import cv2
import numpy as np
import shapely
from scipy import ndimage

from .expansion import expand_kernels

_POLYGON = 3  # of shapely.get_type_id


def decode_kernel_maps(
    probabilities: np.ndarray,
    *,
    stride: int = 1,
    polygon_mode: bool = False,
    kernel_thresh: float = 0.5,
    score_thresh: float = 0.85,
    min_kernel_area: float = 256.0,
    min_area: float = 16.0,
    epsilon: float = 0.5,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Find the texts of an image's kernel maps.

    The 4-connected components of the smallest kernel grow through the larger ones up to the text
    map; see :func:`expand_kernels`. Their outlines, which run through pixel centres, are moved out
    until they enclose the area of their pixels.

    Args:
        probabilities: (n, H, W) float32 in [0, 1], the text first, the smallest kernel last.
        stride: of the maps, in input pixels.
        polygon_mode: outlines are simplified contours, without holes; otherwise minimum-area
            rectangles.
        kernel_thresh: pixels above it belong to a kernel, if they belong to the text.
        score_thresh: texts with a smaller mean probability (of the first map) are dropped.
        min_kernel_area, min_area: smallest kernels and texts below this many input pixels are
            dropped.
        epsilon: tolerance of the simplification in ``polygon_mode``, in pixels of the map.

    Returns:
        Polygons as (N, 2) float32 arrays of (x, y) input pixels (N = 4 in box mode), which may
        reach beyond the map, and their scores, (M,) float32.
    """
    labels = _label_texts(probabilities, kernel_thresh, min_kernel_area / stride**2)
    kept, scores = _pass_filters(labels, probabilities[0], score_thresh, min_area / stride**2)
    regions = ndimage.find_objects(labels)
    contours, areas = [], []
    for label in kept.tolist():
        window = regions[label - 1]
        contour, area = _contour((labels[window] == label).view(np.uint8))
        contours.append(contour + np.array((window[1].start, window[0].start)))
        areas.append(area)
    outlines = _outlines(contours, areas, epsilon) if polygon_mode else _boxes(contours, areas)
    # From pixel centres to image coordinates, which start at a pixel's corner.
    return [((p + 0.5) * stride).astype(np.float32) for p in outlines], scores


def _label_texts(
    probabilities: np.ndarray, kernel_thresh: float, min_kernel_area: float
) -> np.ndarray:
    """Number the texts, (H, W) int32; 0 is ground."""
    maps = probabilities > kernel_thresh
    maps[1:] &= maps[0]
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        maps[-1].view(np.uint8), connectivity=4, ltype=cv2.CV_32S
    )
    keep = stats[:, cv2.CC_STAT_AREA] >= min_kernel_area
    keep[0] = False
    if not keep.all():
        # The map of a network in its first epochs holds tens of thousands of specks: they are
        # gone before anything grows, and the rest is numbered without gaps.
        labels = np.where(keep, np.cumsum(keep), 0).astype(np.int32)[labels]
    return expand_kernels(labels, maps[-2::-1]) if keep.any() else labels


def _pass_filters(
    labels: np.ndarray, probability: np.ndarray, score_thresh: float, min_area: float
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the texts that are large and sure enough, and their mean probabilities."""
    pixels = np.flatnonzero(labels)
    owners = labels.ravel()[pixels]
    areas = np.bincount(owners)
    scores = np.bincount(owners, probability.ravel()[pixels]) / np.maximum(areas, 1)
    kept = np.flatnonzero((areas >= max(min_area, 1)) & (scores >= score_thresh))
    return kept, scores[kept].astype(np.float32)


def _contour(region: np.ndarray) -> tuple[np.ndarray, float]:
    """Outer contour (K, 2) of a connected 0/1 region, and its area in pixels, holes filled."""
    contours, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = contours[0][:, 0]
    # Pick's theorem: the pixels on and within a contour through their centres.
    return contour, cv2.contourArea(contour) + len(contour) / 2 + 1


def _boxes(contours: Sequence[np.ndarray], areas: Sequence[float]) -> list[np.ndarray]:
    """Smallest rectangles around the grown convex hulls of the regions, (4, 2) each."""
    hulls = [cv2.convexHull(c)[:, 0] for c in contours]
    # A region with bays has less area than its hull, which then stays as it is.
    return [cv2.boxPoints(cv2.minAreaRect(ring)) for ring in _grow(hulls, areas)]


def _outlines(
    contours: Sequence[np.ndarray], areas: Sequence[float], epsilon: float
) -> list[np.ndarray]:
    """Simplified contours grown to the pixels' area, (K, 2) each."""
    if epsilon > 0:
        contours = [cv2.approxPolyDP(c, epsilon, True)[:, 0] for c in contours]
    return _grow(contours, areas)


def _grow(rings: Sequence[np.ndarray], areas: Sequence[float]) -> list[np.ndarray]:
    """Move rings through pixel centres out, by half a pixel at most, to enclose an area.

    Upright rectangles of pixels grow by exactly half a pixel, slanted edges by less, since some
    pixel centre always comes close to a slanted border.

    Returns:
        (K, 2) float32 each.
    """
    inner = np.array([cv2.contourArea(r) for r in rings])
    # A line of pixels has no area, and grows to a rectangle.
    grown = [_pixel_rectangle(ring) if area <= 0 else None for ring, area in zip(rings, inner)]
    solid = np.flatnonzero(inner > 0)
    points = np.concatenate([rings[i] for i in solid]) if solid.size else np.zeros((0, 2))
    owners = np.repeat(np.arange(solid.size), [len(rings[i]) for i in solid])
    shapes = shapely.polygons(shapely.linearrings(points, indices=owners))
    # Area of a ring grown by g with pointed right angles: inner + length g + 4 g^2.
    lengths = shapely.length(shapes)
    missing = np.maximum(np.asarray(areas)[solid] - inner[solid], 0.0)
    growths = np.minimum((np.sqrt(lengths**2 + 16 * missing) - lengths) / 8, 0.5)
    shapes = shapely.buffer(shapes, growths, join_style="mitre", mitre_limit=5.0)
    # A simplified contour may cross itself; growing repairs it, and may leave crumbs.
    for i in np.flatnonzero(shapely.get_type_id(shapes) != _POLYGON):
        shapes[i] = max(shapely.get_parts(shapes[i]), key=shapely.area)

    points, owners = shapely.get_coordinates(shapely.get_exterior_ring(shapes), return_index=True)
    starts = np.searchsorted(owners, np.arange(1, solid.size))
    for i, ring in zip(solid, np.split(points.astype(np.float32), starts)):
        grown[i] = ring[:-1]
    return grown


def _pixel_rectangle(centres: np.ndarray) -> np.ndarray:
    centre, (a, b), angle = cv2.minAreaRect(centres)
    return cv2.boxPoints((centre, (a + 1, b + 1), angle))
