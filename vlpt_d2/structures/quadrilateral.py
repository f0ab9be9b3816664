"""Polygons of any number of points -> four corners."""

from __future__ import annotations

import numpy as np

__all__ = ["quadrilateral"]


def quadrilateral(polygon: np.ndarray) -> np.ndarray:
    """Return a polygon as four corners.

    Args:
        polygon: (N, 2) points in pixels, along one side of a text and back along the other.

    Returns:
        (4, 2) points in the same dtype: the polygon itself where it has four points, else its
        rectangle of least area, which runs the same way round from the corner nearest to the
        polygon's first point, so that the reading order is kept.
    """
    polygon = np.asarray(polygon)
    if len(polygon) == 4:
        return polygon
    import cv2  # not needed for what has four corners

    corners = cv2.boxPoints(cv2.minAreaRect(polygon.astype(np.float32)))
    if is_clockwise(corners) != is_clockwise(polygon):
        corners = corners[::-1]
    # The text's own corners: where its two long sides begin and end.
    half = len(polygon) // 2
    own = polygon[[0, half - 1, half, -1]]
    turns = [np.roll(corners, -first, axis=0) for first in range(4)]
    nearest = min(turns, key=lambda turned: np.linalg.norm(turned - own, axis=1).sum())
    return nearest.astype(polygon.dtype if polygon.dtype.kind == "f" else np.float64)


def is_clockwise(points: np.ndarray) -> bool:
    """Whether (N, 2) points run clockwise as seen on the image, where y points down."""
    # Relative to the first point, so that nothing is lost far from the origin.
    x, y = (np.asarray(points, np.float64) - points[0]).T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) >= 0
