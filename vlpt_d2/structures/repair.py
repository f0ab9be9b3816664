"""Faulty polygons -> simple rings, and the name of the fault for the report."""

from __future__ import annotations

import numpy as np
import shapely

__all__ = ["FARTHEST", "MIN_AREA", "repair_polygon"]

# Square pixels; a ring that encloses less is a line or a point.
MIN_AREA = 1e-6
# Pixels; a coordinate beyond is a broken number, and its products would overflow.
FARTHEST = 1e6
# A ring that meets itself more often is noise. The time to find its parts grows with the square of
# this number: a fifth of a second here, a minute for a random ring of 500 points.
_MOST_CROSSINGS = 500
_BLOCK = 64


def repair_polygon(points: np.ndarray) -> tuple[np.ndarray | None, str | None]:
    """Return a simple ring of positive area, and what was wrong with the one given.

    - Repeated consecutive points (the closing one too) are dropped.
    - A self-crossing ring of four points is taken for four corners in a wrong order: its convex
      hull, whose corners they are. One of more points keeps the outline of its largest part
      (``shapely.make_valid``).
    - A ring of fewer than three points, without area, with a point that is not finite or beyond a
      million pixels, or that meets itself more than 500 times, cannot be repaired.

    Args:
        points: (N, 2) points in pixels.

    Returns:
        The ring, (M, 2) in the same dtype, M >= 3, or None where there is no repair; and None for
        a sound polygon, else one of "repeated points", "self-crossing", "fewer than three points",
        "no area", "not finite", "a coordinate beyond a million pixels", "crosses itself hundreds of
        times". A sound ring comes back unchanged.
    """
    if len(points) < 3:
        return None, "fewer than three points"
    if not np.isfinite(points).all():
        return None, "not finite"
    if np.abs(points).max() > FARTHEST:
        return None, "a coordinate beyond a million pixels"
    distinct = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
    fault = "repeated points" if len(distinct) < len(points) else None
    if len(distinct) < 3:
        return None, "no area"
    shape = shapely.Polygon(distinct)
    if shape.is_valid:
        return (None, "no area") if shape.area < MIN_AREA else (distinct, fault)
    if len(distinct) == 4:
        shape = shape.convex_hull
    elif _crosses_too_often(distinct):
        return None, "crosses itself hundreds of times"
    else:
        shape = _largest_part(distinct)
    if shape is None or shape.geom_type != "Polygon" or shape.area < MIN_AREA:
        return None, "no area"
    ring = shapely.get_coordinates(shape.exterior)[:-1]
    return ring.astype(points.dtype), "self-crossing"


def _crosses_too_often(ring: np.ndarray) -> bool:
    edges = shapely.linestrings(np.stack([ring, np.roll(ring, -1, axis=0)], axis=1))
    tree = shapely.STRtree(edges)
    met = 0
    for start in range(0, len(edges), _BLOCK):
        block = edges[start : start + _BLOCK]
        # Every edge meets itself and its two neighbours, and each crossing is met from both sides.
        met += tree.query(block, predicate="intersects").shape[1] - 3 * len(block)
        if met > 2 * _MOST_CROSSINGS:
            return True
    return False


def _largest_part(ring: np.ndarray) -> shapely.Polygon | None:
    parts = shapely.get_parts(shapely.make_valid(shapely.Polygon(ring)))
    # make_valid may nest polygons in collections, next to lines of no use.
    parts = [p for part in parts for p in shapely.get_parts(part) if p.geom_type == "Polygon"]
    return max(parts, key=lambda part: part.area, default=None)
