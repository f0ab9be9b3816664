"""Words grouped to lines, in reading order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .quadrilateral import quadrilateral

__all__ = ["group_lines"]

# Of neighbours in a line: the cosine of the largest angle between them, the largest ratio of their
# heights, how far apart their middles are across the line, and their gap along it, the latter two
# in heights.
_COSINE, _RATIO, _ACROSS, _GAP = np.cos(np.radians(20)), 2.0, 0.5, 1.5
# From this ratio of its sides on a word says by itself which way it runs.
_LONG = 1.5


def group_lines(polygons: Sequence[np.ndarray]) -> list[list[int]]:
    """Group words to lines.

    A word is followed by the nearest one that runs the same way, is about as high, and stands on
    the same line. Lines are read from the top to the bottom, columns from left to right (Breuel,
    High performance document layout analysis, 2003).

    Args:
        polygons: (N_i, 2) points (x, y) each.

    Returns:
        Of each line the places of its words, in the order of reading.
    """
    if not len(polygons):
        return []
    centres, axes, halves = _frames(polygons)
    following = _following(centres, axes, halves)
    lines, seen = [], set()
    starts = sorted(set(range(len(polygons))) - set(following.values()))
    for start in [*starts, *range(len(polygons))]:
        line, i = [], start
        while i not in seen:
            seen.add(i)
            line.append(i)
            i = following.get(i, i)
        if line:
            lines.append(line)
    points = [np.concatenate([polygons[i] for i in line]) for line in lines]
    boxes = np.array([(*p.min(axis=0), *p.max(axis=0)) for p in points])
    return [lines[i] for i in _reading_order(boxes)]


def _frames(polygons: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres, axes along the reading direction, and half lengths along and across it."""
    quads = np.array([quadrilateral(polygon) for polygon in polygons], np.float64)
    sides = np.roll(quads, -1, axis=1) - quads
    # The means of opposite sides.
    ways = (sides[:, :2] - sides[:, 2:]) / 2
    lengths = np.maximum(np.linalg.norm(ways, axis=2), 1e-6)
    number = np.arange(len(quads))
    centres = quads.mean(axis=1)
    along = lengths.argmax(axis=1)
    long = lengths.max(axis=1) >= _LONG * lengths.min(axis=1)
    # Short ones run as the nearest long one does, or level.
    model = np.tile((1.0, 0.0), (len(quads), 1))
    if long.any():
        apart = np.linalg.norm(centres[:, None] - centres[None, long], axis=2)
        model = (ways / lengths[..., None])[number, along][long][apart.argmin(axis=1)]
    alike = np.abs(np.einsum("ijk,ik->ij", ways / lengths[..., None], model)).argmax(axis=1)
    along = np.where(long, along, alike)
    axes = ways[number, along] / lengths[number, along, None]
    # To the right; steep ones downwards.
    steep = np.abs(axes[:, 0]) < 1 - _COSINE
    turn = np.where(steep, axes[:, 1] < 0, axes[:, 0] < 0)
    axes[turn] *= -1
    halves = np.stack([lengths[number, along], lengths[number, 1 - along]], axis=1) / 2
    return centres, axes, halves


def _following(centres: np.ndarray, axes: np.ndarray, halves: np.ndarray) -> dict[int, int]:
    """Each word to the next of its line; no word follows two."""
    offsets = centres[None] - centres[:, None]
    across_axes = np.stack([-axes[:, 1], axes[:, 0]], axis=1)
    along = np.einsum("ijk,ik->ij", offsets, axes)
    across = np.abs(np.einsum("ijk,ik->ij", offsets, across_axes))
    heights = 2 * halves[:, 1]
    smaller = np.minimum(heights[:, None], heights)
    larger = np.maximum(heights[:, None], heights)
    gaps = along - halves[:, None, 0] - halves[None, :, 0]
    fits = (
        (along > 0)
        & (axes @ axes.T >= _COSINE)
        & (larger <= _RATIO * smaller)
        & (across <= _ACROSS * smaller)
        & (np.abs(gaps) <= _GAP * larger)
    )
    following: dict[int, int] = {}
    taken = set()
    first, second = np.nonzero(fits)
    for place in np.argsort(gaps[first, second], kind="stable"):
        i, j = int(first[place]), int(second[place])
        if i not in following and j not in taken:
            following[i] = j
            taken.add(j)
    return following


def _reading_order(boxes: np.ndarray) -> list[int]:
    """Boxes (N, 4) of x0, y0, x1, y1 in the order in which they are read."""
    x0, y0, x1, y1 = boxes.T
    middles = (y0 + y1) / 2
    overlap = (x0[:, None] < x1) & (x0 < x1[:, None])
    above = middles[:, None] < middles
    before = overlap & above
    for i in range(len(boxes)):
        # What is left of another is read first, unless a line over both lies between them.
        between = (above[i] & above.T) | (above[:, i] & above)  # [j, k]: k is between i and j
        separated = (between & overlap[i] & overlap).any(axis=1)
        before[i] |= (x1[i] <= x0) & ~separated
    missing = before.sum(axis=0)  # of what comes before each; infinite once it is placed
    order = []
    for _ in range(len(boxes)):
        # Where all wait for each other, the topmost goes first.
        chosen = int(np.lexsort((x0, middles, missing > 0, missing > len(boxes)))[0])
        order.append(chosen)
        missing = missing - before[chosen]
        missing[chosen] = 3 * len(boxes)
    return order
