"""Faulty polygons -> simple rings, and the name of the fault for the report."""

from __future__ import annotations

import numpy as np
import shapely

__all__ = ["MIN_AREA", "repair_polygon"]

# Square pixels; a ring that encloses less is a line or a point.
MIN_AREA = 1e-6


def repair_polygon(points: np.ndarray) -> tuple[np.ndarray | None, str | None]:
    """Return a simple ring of positive area, and what was wrong with the one given.

    - Repeated consecutive points (the closing one too) are dropped.
    - A self-crossing ring of four points is taken for four corners in a wrong order: its convex
      hull, whose corners they are. One of more points keeps the outline of its largest part
      (``shapely.make_valid``).
    - A ring without area, or with a point that is not finite, cannot be repaired.

    Args:
        points: (N, 2) points in pixels.

    Returns:
        The ring, (M, 2) in the same dtype, M >= 3, or None where there is no repair; and None for
        a sound polygon, else one of "repeated points", "self-crossing", "no area", "not finite".
        A sound ring comes back unchanged.
    """
    if not np.isfinite(points).all():
        return None, "not finite"
    distinct = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
    fault = "repeated points" if len(distinct) < len(points) else None
    if len(distinct) < 3:
        return None, "no area"
    shape = shapely.Polygon(distinct)
    if shape.is_valid:
        return (None, "no area") if shape.area < MIN_AREA else (distinct, fault)
    shape = shape.convex_hull if len(distinct) == 4 else _largest_part(shape)
    if shape is None or shape.geom_type != "Polygon" or shape.area < MIN_AREA:
        return None, "no area"
    ring = shapely.get_coordinates(shape.exterior)[:-1]
    return ring.astype(points.dtype), "self-crossing"


def _largest_part(shape: shapely.Polygon) -> shapely.Polygon | None:
    parts = shapely.get_parts(shapely.make_valid(shape))
    # make_valid may nest polygons in collections beside the lines it cannot use.
    parts = [p for part in parts for p in shapely.get_parts(part) if p.geom_type == "Polygon"]
    return max(parts, key=lambda part: part.area, default=None)
