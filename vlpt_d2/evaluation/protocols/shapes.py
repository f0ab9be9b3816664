"""Arrays of points -> shapely geometries and the areas that protocols compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import shapely

from ...structures.repair import MIN_AREA, repair_polygon

__all__ = ["intersections", "to_shapes"]


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
    polygons = [np.asarray(points, dtype=np.float64).reshape(-1, 2) for points in polygons]
    shapes = np.full(len(polygons), shapely.Polygon(), dtype=object)
    rings = [i for i, p in enumerate(polygons) if len(p) >= 3 and np.isfinite(p).all()]
    if rings:
        points = [polygons[i] for i in rings]
        number = np.repeat(np.arange(len(rings)), [len(p) for p in points])
        lines = shapely.linearrings(np.concatenate(points), indices=number)
        shapes[rings] = shapely.polygons(lines)
    sound = shapely.is_valid(shapes) & (shapely.area(shapes) >= MIN_AREA)
    for i in np.flatnonzero(~sound):
        ring, fault = repair_polygon(polygons[i])
        faults[str(fault) if ring is not None else f"unusable: {fault}"] += 1
        shapes[i] = shapely.Polygon(ring)
    return shapes


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
