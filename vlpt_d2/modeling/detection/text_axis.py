"""The axis of a text: from a polygon to its two long sides, and from pixels along it to an outline.

A text's outline has a head and a tail edge, which cut it into two sides. Sampled alike, the sides
give pairs of points; the line through the middles of the pairs is the axis.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from scipy import sparse
from scipy.sparse import csgraph

from ...structures import quadrilateral
from .raster import pixels_inside

# Pairs of points at which the two sides of a candidate are compared.
_PAIRS = 9
# Reading order: the sides that the order of the points gives are taken unless their cost is more
# than so many times the least one; a quadrilateral is then as many times as high as wide, and its
# letters stand on one another.
_TRUST, _TRUST_OF_FOUR = 1.5, 4.0
# Pairs on, and stretches of, one text's axis, at most.
_MOST_PAIRS, _MOST_STRETCHES = 256, 128


@dataclass
class TextAxis:
    """Pairs of points on the two sides of a text.

    Attributes:
        first, second: (n, 2), the points of each side, in order along the text.
        centre: (n, 2), the middles of the pairs.
        direction: (n, 2), unit vectors along the axis.
        radius: (n,), distance from the middle to the sides, across the axis.
    """

    first: np.ndarray
    second: np.ndarray

    def __post_init__(self):
        self.centre = 0.5 * (self.first + self.second)
        along = np.gradient(self.centre, axis=0)
        self.direction = along / np.maximum(np.linalg.norm(along, axis=1), 1e-9)[:, None]
        across = self.second - self.first
        (x, y), (dx, dy) = across.T, self.direction.T
        self.radius = 0.5 * np.abs(dx * y - dy * x)

    @property
    def length(self) -> float:
        """Of the axis, in pixels."""
        return float(np.linalg.norm(np.diff(self.centre, axis=0), axis=1).sum())


@lru_cache(maxsize=64)
def _edges_apart(count: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of edges of a ring of so many points that are no neighbours."""
    first, second = np.triu_indices(count, 2)
    apart = first + count - second >= 2
    return first[apart], second[apart]


class TextSides:
    """The two sides of a polygon."""

    def __init__(self, polygon: np.ndarray, reading_order: bool = False):
        """Find the head and the tail edge.

        They are two edges, no neighbours, whose sides lie close together, and whose own neighbours
        run opposite ways (paper of TextSnake, equation 2): of a quadrilateral in the main its
        shorter opposite edges. A triangle is taken for its rectangle.

        Args:
            polygon: (N, 2), in pixels.
            reading_order: the points start at the top left of the first character and go round
                along the top. The sides of a quadrilateral are then its edges 0-1 and 3-2, unless
                it is four times as high as wide, and of 2 n points the first n and the last n,
                unless others are much closer together; the first side is the top, and both run in
                the direction of reading. Without, the axis
                runs to the right, or down where it is steeper than 45 degrees, so that the same
                picture always gives the same direction.
        """
        ring = np.asarray(polygon if len(polygon) > 3 else quadrilateral(polygon), np.float64)
        count = len(ring)
        twice = np.concatenate([ring, ring, ring[:1]])
        steps = np.linalg.norm(np.diff(twice, axis=0), axis=1)
        self._points, self._ends = twice, np.concatenate([[0.0], np.cumsum(steps)])
        # Edge i runs from point i to point i + 1; a text from edge "head" to edge "tail".
        head, tail = _edges_apart(count)
        starts = np.stack([head + 1, head + count], axis=1)
        stops = np.stack([tail, tail + 1], axis=1)
        sides = self._at(self._ends[starts], self._ends[stops], np.linspace(0, 1, _PAIRS))
        apart = np.sqrt(np.square(sides[:, 0] - sides[:, 1]).sum(axis=2).mean(axis=1))
        ways = np.diff(twice[: count + 1], axis=0) / np.maximum(steps[:count], 1e-9)[:, None]
        # 0 for an edge whose neighbours run opposite ways, 2 for one on a straight side.
        turns = 1 + (np.roll(ways, 1, axis=0) * np.roll(ways, -1, axis=0)).sum(axis=1)
        cost = apart * (1 + turns[head] + turns[tail])
        best = int(cost.argmin())
        if reading_order and count % 2 == 0:
            given = int(np.flatnonzero((tail == count - 1) & (head == count // 2 - 1))[0])
            if cost[given] <= (_TRUST_OF_FOUR if count == 4 else _TRUST) * cost[best]:
                best = given
        one, other = sides[best]
        if reading_order:
            # The first side starts at the point next to the polygon's first.
            backwards = np.square(one[0] - ring[0]).sum() > np.square(other[-1] - ring[0]).sum()
        else:
            dx, dy = one[-1] + other[-1] - one[0] - other[0]
            backwards = (dx if abs(dx) >= abs(dy) else dy) < 0
        start, stop = self._ends[starts[best]], self._ends[stops[best]]
        self._start, self._stop = (stop[::-1], start[::-1]) if backwards else (start, stop)

    def pairs(self, shares: np.ndarray) -> TextAxis:
        """Pairs of points at shares of each side's length, two or more, in [0, 1]."""
        return TextAxis(*self._at(self._start[None], self._stop[None], shares)[0])

    def _at(self, starts: np.ndarray, stops: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Points (M, 2, n, 2) between arc lengths (M, 2) on the ring gone round twice."""
        at = starts[..., None] + (stops - starts)[..., None] * shares
        x, y = self._points.T
        return np.stack([np.interp(at, self._ends, x), np.interp(at, self._ends, y)], axis=-1)


def inner_axis(sides: TextSides, end_shrink: float) -> tuple[TextAxis, np.ndarray]:
    """The axis without its ends, as pairs of points about half a radius apart.

    Args:
        sides: of the text.
        end_shrink: what is left out at each end, in radii there, but a quarter of the axis at most.

    Returns:
        The axis, and the lengths that are left out at its head and its tail, in pixels.
    """
    whole = sides.pairs(np.linspace(0, 1, _PAIRS))
    length = max(whole.length, 1e-6)
    shrink = np.minimum(end_shrink * whole.radius[[0, -1]] / length, 0.25)
    step = max(0.5 * float(whole.radius.mean()), 2.0)
    count = math.ceil(length * (1 - shrink.sum()) / step) + 1
    shares = np.linspace(shrink[0], 1 - shrink[1], min(max(count, 2), _MOST_PAIRS))
    return sides.pairs(shares), shrink * length


def pixels_along(
    axis: TextAxis, image_size: tuple[int, int], width: float, least: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and columns of the pixels along an axis, and the index of each one's nearest pair.

    Args:
        axis: of a text.
        image_size: (H, W).
        width: half the width of the strip in radii.
        least: half the width in pixels, at least.
    """
    reach = np.maximum(width, np.minimum(least / np.maximum(axis.radius, 1e-6), 1.0))[:, None]
    across = 0.5 * reach * (axis.second - axis.first)
    ring = np.concatenate([axis.centre - across, (axis.centre + across)[::-1]])
    window, inside = pixels_inside(ring, image_size)
    rows, columns = np.nonzero(inside)
    rows, columns = rows + window[0].start, columns + window[1].start
    x, y = (axis.centre - 0.5).T.astype(np.float32)
    squared = np.square(columns[:, None] - x) + np.square(rows[:, None] - y)
    return rows, columns, squared.argmin(axis=1)


def positions_along(
    points: np.ndarray, directions: np.ndarray, starts: np.ndarray, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of connected regions are along the axes of their texts.

    The pixels of a region are gathered into square cells. From a cell to its neighbours the
    position grows by the way between their middles, measured along the direction there; so it
    follows an axis of any shape. Neighbours are visited breadth first, and a direction is taken for
    its opposite where this agrees better with the cell that it is reached from.

    Args:
        points: (N, 2) in pixels, one region after the other.
        directions: (N, 2) predicted along the text, either way.
        starts: (M,), index of the first point of each region; ascending from 0.
        cells: (M,), side of each region's cells in pixels, about half the text's radius.

    Returns:
        Positions (N,) in pixels, of each region from a cell of its own; and the directions (N, 2),
        unit vectors, those of a region in accord and mostly as they were given.
    """
    count = len(points)
    sizes = np.diff(starts, append=count)
    owners = np.repeat(np.arange(len(starts)), sizes)
    # A grid for each region, with a margin of one cell, all in one row.
    low = np.minimum.reduceat(points, starts)
    side = cells[owners, None]
    column, row = (((points - low[owners]) / side).astype(np.int64) + 1).T
    width = np.maximum.reduceat(column, starts) + 2
    height = np.maximum.reduceat(row, starts) + 2
    base = np.concatenate([[0], np.cumsum(width * height)])
    place = base[owners] + row * width[owners] + column
    held = np.bincount(place, minlength=base[-1])
    nodes = np.flatnonzero(held)
    number = np.zeros(base[-1], np.int64)
    number[nodes] = np.arange(len(nodes))
    node = number[place]

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(node, values, minlength=len(nodes)) / held[nodes]

    x, y = mean(points[:, 0]), mean(points[:, 1])
    dx, dy = directions.T
    # Opposite directions have the same angle twice.
    angle = 0.5 * np.arctan2(mean(2 * dx * dy), mean(dx * dx - dy * dy))
    ux, uy = np.cos(angle), np.sin(angle)

    region = np.searchsorted(base, nodes, side="right") - 1
    shifts = np.stack([np.ones_like(width), width, width - 1, width + 1])[:, region]
    near = nodes + shifts
    linked = held[near] > 0
    first = np.broadcast_to(np.arange(len(nodes)), near.shape)[linked]
    second = number[near[linked]]
    # One more node is next to a cell of every region, so that one search visits all.
    roots = np.searchsorted(region, np.arange(len(starts)))
    first = np.concatenate([first, np.full(len(roots), len(nodes))])
    second = np.concatenate([second, roots])
    top = len(nodes)
    links = sparse.coo_matrix((np.ones(len(first), np.int8), (first, second)), shape=(top + 1,) * 2)
    _, before = csgraph.breadth_first_order(links.tocsr(), top, directed=False)
    # Points that were thinned out may leave a region in parts.
    before[before < 0] = top

    ux, uy, x, y = (np.append(values, 0.0) for values in (ux, uy, x, y))
    turn = np.where(ux * ux[before] + uy * uy[before] < 0, -1.0, 1.0)
    turn = _towards_root(turn, before, np.multiply)
    ux, uy = turn * ux, turn * uy
    step = 0.5 * ((x - x[before]) * (ux + ux[before]) + (y - y[before]) * (uy + uy[before]))
    step[before == top] = 0.0
    position = _towards_root(step, before, np.add)[:-1]
    ux, uy = ux[:-1], uy[:-1]
    # Turned together, so that most keep the direction that they were given.
    given = np.add.reduceat(dx * ux[node] + dy * uy[node], starts)
    sign = np.where(given < 0, -1.0, 1.0)
    ux, uy = ux * sign[region], uy * sign[region]
    along = (
        (position * sign[region])[node]
        + (points[:, 0] - x[node]) * ux[node]
        + (points[:, 1] - y[node]) * uy[node]
    )
    accord = np.where(dx * ux[node] + dy * uy[node] < 0, -1.0, 1.0)[:, None] * directions
    return along, unit_vectors(accord)


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Vectors (N, 2) of length 1, to the right where they had no length."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(lengths > 1e-6, vectors / np.maximum(lengths, 1e-6), (1.0, 0.0))


def _towards_root(values: np.ndarray, before: np.ndarray, join: np.ufunc) -> np.ndarray:
    """Join the value of each node of a tree with those of all nodes between it and the root.

    Args:
        values: (N,), the neutral value of ``join`` at the root.
        before: (N,), the node that each one hangs from; the root hangs from itself.
        join: ``np.add`` or ``np.multiply``.
    """
    # Twice as far in every round.
    while True:
        farther = before[before]
        values = join(values, values[before])
        if (farther == before).all():
            return values
        before = farther


@dataclass
class Stretches:
    """Means of values over the stretches that axes are cut into.

    Attributes:
        means: (S, C), in order along each region's axis.
        starts: (M + 1,), index of each region's first stretch, and S.
        overhang: (M, 2), how far the region reaches beyond the middle of its first stretch, and
            beyond that of its last one, in pixels along the axis.
    """

    means: np.ndarray
    starts: np.ndarray
    overhang: np.ndarray


def average_along(
    positions: np.ndarray, values: np.ndarray, starts: np.ndarray, steps: np.ndarray
) -> Stretches:
    """Cut the axes of regions into stretches, and average what their pixels say.

    Args:
        positions: (N,) of :func:`positions_along`.
        values: (N, C).
        starts: (M,), as there.
        steps: (M,), length of each region's stretches in pixels, about.
    """
    owners = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(positions)))
    low, high = np.minimum.reduceat(positions, starts), np.maximum.reduceat(positions, starts)
    counts = np.clip(np.rint((high - low) / steps), 1, _MOST_STRETCHES).astype(np.int64)
    base = np.cumsum(counts) - counts
    share = (positions - low[owners]) / np.maximum(high - low, 1e-9)[owners]
    stretch = np.minimum((share * counts[owners]).astype(np.int64), counts[owners] - 1)
    stretch += base[owners]
    total = int(counts.sum())
    held = np.bincount(stretch, minlength=total)
    kept = held > 0
    columns = np.column_stack([values, positions]).T
    means = np.stack([np.bincount(stretch, c, minlength=total)[kept] / held[kept] for c in columns])
    ends = np.concatenate([[0], np.cumsum(np.add.reduceat(kept, base))])
    overhang = np.stack([means[-1, ends[:-1]] - low, high - means[-1, ends[1:] - 1]], axis=1)
    return Stretches(means[:-1].T, ends, overhang)


def outline(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The ring along one side of a text and back along the other.

    Args:
        first, second: (n, 2), n >= 2, pairs of points in pixels.

    Returns:
        (m, 2) float32, a simple ring: where the sides cross, that around the largest part of what
        the quadrilaterals of neighbouring pairs cover.
    """
    ring = np.concatenate([first, second[::-1]]).astype(np.float32)
    if shapely.is_valid(shapely.Polygon(ring)):
        return ring
    quads = np.stack([first[:-1], first[1:], second[1:], second[:-1]], axis=1)
    whole = shapely.union_all(shapely.convex_hull(shapely.multipoints(list(quads))))
    if not whole.area:
        whole = whole.buffer(0.5)
    largest = max(shapely.get_parts(whole), key=shapely.area)
    return shapely.get_coordinates(largest.exterior)[:-1].astype(np.float32)
