"""Areas shared by convex quadrilaterals, of many pairs at once.

The area of an intersection is the integral of its outline (Green's theorem). The outline is made of
the parts of either quadrilateral's edges that lie within the other one, so every edge is clipped to
the four half planes of the other quadrilateral (Cyrus and Beck).
"""

from __future__ import annotations

import numpy as np

__all__ = ["is_convex", "quad_boxes", "shared_areas", "signed_areas"]

# Share of the squared extent of a pair: what is nearer to zero is decided by exact geometry.
_ROUNDING = 1e-9
# Pairs whose arrays fit the processor's caches.
_BLOCK = 4096


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def signed_areas(quads: np.ndarray) -> np.ndarray:
    """Areas of (N, 4, 2) quadrilaterals, (N,); positive where they run clockwise on the image."""
    diagonals = quads[:, 2:] - quads[:, :2]
    return _cross(diagonals[:, 0], diagonals[:, 1]) / 2


def is_convex(quads: np.ndarray) -> np.ndarray:
    """(N,) bool: which of (N, 4, 2) quadrilaterals are strictly convex; false if not finite."""
    x, y = np.ascontiguousarray(quads.T)
    dx, dy = _next(x) - x, _next(y) - y
    turns = dx * _next(dy) - dy * _next(dx)
    least = _ROUNDING * (dx**2 + dy**2).sum(axis=0)
    # Four turns in one direction sum to a single whole turn, so such a ring does not cross itself.
    return (turns > least).all(axis=0) | (turns < -least).all(axis=0)


def quad_boxes(quads: np.ndarray) -> np.ndarray:
    """(4, N) x0, y0, x1, y1 of the boxes around (N, 4, 2) quadrilaterals."""
    corners = np.ascontiguousarray(quads.transpose(1, 2, 0))  # reduced in a quarter of the time
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)])


def shared_areas(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure intersections.

    Args:
        first: (P, 4, 2) strictly convex quadrilaterals of positive :func:`signed_areas`.
        second: (P, 4, 2) the same.

    Returns:
        (P,) areas, 0 where the two touch at most, and (P,) bool: pairs of which rounding may decide
        whether they touch or overlap. Their areas mean nothing.
    """
    if len(first) > _BLOCK:
        parts = [
            shared_areas(first[i : i + _BLOCK], second[i : i + _BLOCK])
            for i in range(0, len(first), _BLOCK)
        ]
        areas, unclear = zip(*parts)
        return np.concatenate(areas), np.concatenate(unclear)
    # Relative to a corner, so that nothing is lost far from the origin. Pairs are the last axis.
    origin = first[:, 0]
    x1, y1 = np.ascontiguousarray((first - origin[:, None]).transpose(2, 1, 0))
    x2, y2 = np.ascontiguousarray((second - origin[:, None]).transpose(2, 1, 0))
    dx1, dy1, dx2, dy2 = (_next(values) - values for values in (x1, y1, x2, y2))
    extent = np.max([np.abs(values).max(axis=0, initial=0) for values in (x1, y1, x2, y2)], axis=0)
    least = _ROUNDING * extent**2
    # (edge, corner, P): on which side of one's edges the other's corners lie; inside is positive.
    side_1 = dx2[:, None] * (y1 - y2[:, None]) - dy2[:, None] * (x1 - x2[:, None])
    side_2 = dx1[:, None] * (y2 - y1[:, None]) - dy1[:, None] * (x2 - x1[:, None])
    unclear = np.zeros(len(first), bool)
    apart = np.zeros(len(first), bool)
    for side in (side_1, side_2):
        unclear |= ((side != 0) & (np.abs(side) < least)).any(axis=(0, 1))
        apart |= (side <= 0).all(axis=1).any(axis=0)
    part_1, part_2 = _inner_parts(side_1), _inner_parts(side_2)
    # An edge that both have, in the same direction, is counted once.
    on_edge = (side_2 == 0) & (np.roll(side_2, -1, axis=1) == 0)
    if on_edge.any():
        along = dx1[:, None] * dx2 + dy1[:, None] * dy2 > 0
        part_2[(on_edge & along).any(axis=0)] = 0
    doubled = (part_1 * (x1 * dy1 - y1 * dx1)).sum(axis=0)
    doubled += (part_2 * (x2 * dy2 - y2 * dx2)).sum(axis=0)
    areas = np.where(apart, 0.0, doubled / 2)
    return areas, unclear | (~apart & (areas < least))


def _next(values: np.ndarray) -> np.ndarray:
    return np.roll(values, -1, axis=0)


def _inner_parts(side: np.ndarray) -> np.ndarray:
    """(4, P) share of each edge that lies within the other quadrilateral.

    Args:
        side: (edge of the other one, corner of this one, P).
    """
    start, end = side, np.roll(side, -1, axis=1)
    change = start - end
    at = np.divide(start, change, out=np.zeros_like(start), where=change != 0)
    low = np.where(start < 0, np.where(change < 0, at, 2.0), 0.0).max(axis=0)
    high = np.where(end < 0, np.where(change > 0, at, -1.0), 1.0).min(axis=0)
    return np.maximum(high - low, 0)
