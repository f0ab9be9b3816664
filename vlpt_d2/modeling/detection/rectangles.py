"""Rotated rectangles: fitting them, what a pixel says of one, and their corners.

A rectangle is a centre (x, y), a size (width, height) and an angle: its axis "right" is
(cos, sin) of the angle and its axis "down" (-sin, cos), in image coordinates, where y grows
downwards, so a positive angle turns clockwise on the screen. EAST describes it at a pixel by its
distances to the top, right, bottom and left side, in this order, and the angle.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

ANGLE_RANGES = (45, 90)

# A quadrilateral more than this many times as high as it is wide is a vertical line of text.
VERTICAL = 2.0

# Angles closer than this (radians) to the upper end of the range count as the lower end, so that
# rounding does not part exactly upright text into two angles.
_ROUNDING = 1e-4


def fit_rectangles(
    polygons: Sequence[np.ndarray], angle_range: int = 45
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit minimum-area rectangles whose angle is in a half-open range.

    A rectangle can be named by four angles, a quarter turn apart. With ``angle_range`` 45 it is
    the one in [-45, 45) degrees, whatever the reading direction. With 90 "right" runs along the
    text, and the angle is in [-90, 90): the direction is that of the sides 0-1 and 3-2 of a
    quadrilateral, however tall it is, and the long side of any other polygon, whose points tell
    nothing of it. Text upside down has the angle of text that is not.

    Args:
        polygons: (N_i, 2) arrays of (x, y), N_i >= 3.
        angle_range: 45 or 90.

    Returns:
        Centres (M, 2), sizes (M, 2) as (width, height), angles (M,) in radians; float64.

    Raises:
        ValueError: another ``angle_range``.
    """
    if angle_range not in ANGLE_RANGES:
        raise ValueError(f"MODEL.EAST.ANGLE_RANGE is one of {ANGLE_RANGES}, not {angle_range!r}")
    if not polygons:
        return np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0)
    corners = _min_area_corners(polygons)
    sides = np.diff(corners[:, :3], axis=1)
    lengths = np.hypot(sides[..., 0], sides[..., 1])
    half = math.radians(angle_range)
    if angle_range == 90:
        along = _reading_side(polygons, sides, lengths)
        side = np.take_along_axis(sides, along[:, None, None], axis=1)[:, 0]
        angles = np.arctan2(side[:, 1], side[:, 0])
    else:
        angles = np.arctan2(sides[:, 0, 1], sides[:, 0, 0])
        # An odd number of quarter turns makes the second side the one that runs to the right.
        along = np.floor((angles + half + _ROUNDING) / (2 * half)).astype(int) % 2
    angles = np.mod(angles + half + _ROUNDING, 2 * half) - half - _ROUNDING
    sizes = np.stack([lengths[np.arange(len(along)), i] for i in (along, 1 - along)], axis=1)
    return corners.mean(axis=1), sizes, angles


def text_rectangles(
    polygons: Sequence[np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Minimum-area rectangles along their texts; see :func:`fit_rectangles`.

    The direction is the reading direction of a quadrilateral, unless the line is vertical, and the
    long side of other polygons.
    """
    centres, sizes, angles = fit_rectangles(polygons, 90)
    vertical = sizes[:, 1] > VERTICAL * sizes[:, 0]
    sizes[vertical] = sizes[vertical, ::-1]
    return centres, sizes, angles + np.where(vertical, math.pi / 2, 0.0)


def rectangle_corners(centres: np.ndarray, sizes: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Corners of M rectangles, (M, 4, 2), clockwise on screen from the top left."""
    half = 0.5 * np.asarray(sizes)
    return corners_from_distances(centres, half[:, [1, 0, 1, 0]], angles)


def _min_area_corners(polygons: Sequence[np.ndarray]) -> np.ndarray:
    """Corners of the minimum-area rectangles, (M, 4, 2) float64, in cyclic order."""
    corners = np.empty((len(polygons), 4, 2))
    for i, polygon in enumerate(polygons):
        # OpenCV computes in float32, which is finer close to the origin. Which corner comes first
        # differs between its versions.
        origin = np.asarray(polygon[0], np.float64)
        corners[i] = cv2.boxPoints(cv2.minAreaRect((polygon - origin).astype(np.float32))) + origin
    return corners


def _reading_side(
    polygons: Sequence[np.ndarray], sides: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Which of a rectangle's first two sides runs along its text, (M,) int."""
    unit = sides / np.maximum(lengths, 1e-9)[..., None]
    reading = np.stack(
        [
            p[1] - p[0] + p[2] - p[3] if len(p) == 4 else side[size.argmax()]
            for p, side, size in zip(polygons, sides, lengths)
        ]
    )
    along = np.abs(np.einsum("nsd,nd->ns", unit, reading))
    # Of a square that stands on its corner neither side does: the longer one.
    undecided = np.isclose(along[:, 0], along[:, 1])
    return np.where(undecided, lengths.argmax(axis=1), along.argmax(axis=1))


def distances_to_sides(
    points: np.ndarray, centre: np.ndarray, size: np.ndarray, angle: float
) -> np.ndarray:
    """Distances of points (..., 2) to a rectangle's top, right, bottom and left side, (..., 4)."""
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = points[..., 0] - centre[0], points[..., 1] - centre[1]
    right, down = cos * x + sin * y, cos * y - sin * x
    width, height = 0.5 * size[0], 0.5 * size[1]
    return np.stack([height + down, width - right, height - down, width + right], axis=-1)


def corners_from_distances(
    points: np.ndarray, distances: np.ndarray, angles: np.ndarray
) -> np.ndarray:
    """Corners of the rectangles that points describe; the inverse of :func:`distances_to_sides`.

    Args:
        points: (N, 2).
        distances: (N, 4) to the top, right, bottom and left side.
        angles: (N,) in radians.

    Returns:
        (N, 4, 2), clockwise on screen from the top left as the rectangle's own axes say.
    """
    top, right, bottom, left = distances.T
    across = np.stack([-left, right, right, -left])
    down = np.stack([-top, -top, bottom, bottom])
    cos, sin = np.cos(angles), np.sin(angles)
    turned = np.stack([cos * across - sin * down, sin * across + cos * down])
    return (points.T[:, None] + turned).transpose(2, 1, 0)
