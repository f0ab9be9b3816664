"""From PSENet's kernel maps to text polygons (whai362/PSENet models/head/psenet_head.py)."""

from collections import Counter
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import shapely
from scipy import ndimage

from ..raster import growth, pixel_counts
from .expansion import expand_kernels

_POLYGON = 3  # of shapely.get_type_id
# How far a pointed corner of a grown ring may reach, in units of the growth.
_MITRE_LIMIT = 5.0


def decode_kernel_maps(
    probabilities: np.ndarray,
    *,
    stride: int = 1,
    polygon_mode: bool = False,
    kernel_thresh: float = 0.5,
    score_thresh: float = 0.85,
    min_kernel_area: float = 16.0,
    min_area: float = 16.0,
    max_candidates: int = 1000,
    epsilon: float = 0.5,
    counts: Counter | None = None,
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
        max_candidates: texts that pass these filters and are outlined, largest first.
        epsilon: tolerance of the simplification in ``polygon_mode``, in pixels of the map.
        counts: receives the number of texts that pass the filters ("candidates"), of those beyond
            ``max_candidates`` ("dropped_candidates"), and of maps with such ("limited_maps").

    Returns:
        Polygons as (N, 2) float32 arrays of (x, y) input pixels (N = 4 in box mode), which may
        reach beyond the map, and their scores, (M,) float32.
    """
    labels = _label_texts(probabilities, kernel_thresh, min_kernel_area / stride**2)
    kept, scores, dropped = _pass_filters(
        labels, probabilities[0], score_thresh, min_area / stride**2, max_candidates
    )
    if counts is not None:
        counts.update(
            candidates=len(kept) + dropped,
            dropped_candidates=dropped,
            limited_maps=int(dropped > 0),
        )
    contours, areas = _contours(labels, kept)
    outlines = _outlines(contours, areas, epsilon) if polygon_mode else _boxes(contours, areas)
    # From pixel centres to image coordinates, which start at a pixel's corner.
    return [((p + 0.5) * stride).astype(np.float32) for p in outlines], scores


def _label_texts(
    probabilities: np.ndarray, kernel_thresh: float, min_kernel_area: float
) -> np.ndarray:
    """Number the texts, (H, W) int32; 0 is ground."""
    maps = probabilities > kernel_thresh
    maps[1:] &= maps[0]
    _, labels = cv2.connectedComponents(maps[-1].view(np.uint8), connectivity=4)
    keep = np.bincount(labels.ravel()) >= min_kernel_area
    keep[0] = False
    if not keep.all():
        # The map of a network in its first epochs holds tens of thousands of specks: they are
        # gone before anything grows, and the rest is numbered without gaps.
        labels = np.where(keep, np.cumsum(keep), 0).astype(np.int32)[labels]
    return _expand(labels, maps[-2::-1]) if keep.any() else labels


def _expand(labels: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """Return what :func:`expand_kernels` returns, growing only the labels that have a rival.

    A label that is alone in its region of the text map ends up with all of it.

    Args:
        labels: (H, W) int32, each 4-connected.
        kernels: (n - 1, H, W) bool, smallest first; the last, the text map, contains all others
            and the labels.
    """
    count, regions = cv2.connectedComponents(kernels[-1].view(np.uint8), connectivity=4)
    pixels = np.flatnonzero(labels)
    owners = np.zeros(labels.max() + 1, np.int64)
    owners[labels.ravel()[pixels]] = regions.ravel()[pixels]
    rivals = np.bincount(owners[1:], minlength=count)
    alone = np.zeros(count, np.int32)
    alone[owners[1:]] = np.arange(1, len(owners))
    alone[rivals != 1] = 0
    grown = alone[regions]
    if (rivals > 1).any():
        contested = (rivals > 1)[regions]
        grown += expand_kernels(np.where(contested, labels, 0), list(kernels & contested))
    return grown


def _pass_filters(
    labels: np.ndarray,
    probability: np.ndarray,
    score_thresh: float,
    min_area: float,
    max_candidates: int,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Labels of the texts that are large and sure enough, at most so many; their mean
    probabilities; and how many more there are.
    """
    pixels = np.flatnonzero(labels)
    owners = labels.ravel()[pixels]
    areas = np.bincount(owners)
    scores = np.bincount(owners, probability.ravel()[pixels]) / np.maximum(areas, 1)
    kept = np.flatnonzero((areas >= max(min_area, 1)) & (scores >= score_thresh))
    dropped = max(0, len(kept) - max_candidates)
    if dropped:
        kept = np.sort(kept[np.argsort(-areas[kept], kind="stable")[:max_candidates]])
    return kept, scores[kept].astype(np.float32), dropped


def _contours(labels: np.ndarray, kept: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Outer contours (K, 2) int32 of connected regions, and their areas in pixels, holes filled."""
    windows = ndimage.find_objects(labels) if len(kept) else []
    contours = []
    for label in kept.tolist():
        rows, columns = window = windows[label - 1]
        region = (labels[window] == label).view(np.uint8)
        (contour, *_), _ = cv2.findContours(
            region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(columns.start, rows.start)
        )
        contours.append(contour[:, 0])
    return contours, pixel_counts(contours)


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
    starts = np.searchsorted(owners, np.arange(1, len(rings)))
    return [ring[:-1] for ring in np.split(points.astype(np.float32), starts)]


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
