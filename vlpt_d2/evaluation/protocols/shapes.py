"""Arrays of points -> shapely geometries and the areas that protocols compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import shapely

from ...structures import repair_polygon
from ...structures.repair import MIN_AREA

__all__ = ["intersections", "iou", "take_in_order", "to_shapes"]


def to_shapes(polygons: Iterable[np.ndarray], faults: Counter[str]) -> np.ndarray:
    """Build valid shapely polygons.

    Args:
        polygons: arrays of shape (N_i, 2), any number of points, in pixels.
        faults: gets the number of repaired polygons added under their fault; those without a
            repair count as ``"unusable: <fault>"``.

    Returns:
        (N,) array of valid polygons. An unusable one becomes an empty polygon: it touches nothing
        and matches nothing, but protocols still count it as the detection or word it is.
    """
    shapes = []
    for points in polygons:
        points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        shape = shapely.Polygon(points) if _is_ring(points) else None
        if shape is None or not shape.is_valid or shape.area < MIN_AREA:
            ring, fault = repair_polygon(points)
            faults[fault if ring is not None else f"unusable: {fault}"] += 1
            shape = shapely.Polygon(ring)
        shapes.append(shape)
    return np.array(shapes, dtype=object)


def intersections(
    first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measure the overlap of all pairs that touch, found through a spatial index.

    Args:
        first: (N,) valid shapely polygons.
        second: (M,) valid shapely polygons.

    Returns:
        Indices into ``first``, indices into ``second``, and the areas of the intersections, all of
        shape (P,); pairs sorted by the first index, then by the second.
    """
    if len(first) == 0 or len(second) == 0:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, np.zeros(0)
    i, j = shapely.STRtree(second).query(first, predicate="intersects")
    order = np.lexsort((j, i))
    i, j = i[order], j[order]
    return i, j, shapely.area(shapely.intersection(first[i], second[j]))


def iou(area_first: np.ndarray, area_second: np.ndarray, intersection: np.ndarray) -> np.ndarray:
    """Intersection over union, in [0, 1], of pairs with these areas; all arrays of shape (P,)."""
    union = area_first + area_second - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def take_in_order(
    gt: np.ndarray, det: np.ndarray, overlap: np.ndarray
) -> list[tuple[int, int, float]]:
    """Match greedily: each pair in its order, unless one of the two is taken already.

    Args:
        gt: (P,) ground truth of each pair.
        det: (P,) detection of each pair.
        overlap: (P,) IoU of each pair.

    Returns:
        The pairs that match. With pairs sorted by ground truth and then by detection, as
        :func:`intersections` returns them, this is the competition script's double loop.
    """
    matches: list[tuple[int, int, float]] = []
    taken_gt, taken_det = set(), set()
    for i, j, value in zip(gt.tolist(), det.tolist(), overlap.tolist()):
        if i not in taken_gt and j not in taken_det:
            taken_gt.add(i)
            taken_det.add(j)
            matches.append((i, j, value))
    return matches


def _is_ring(points: np.ndarray) -> bool:
    return len(points) >= 3 and bool(np.isfinite(points).all())
