"""The borders of many polygons on the pixel grid, for label maps of distances."""

from collections.abc import Sequence
from functools import cached_property

import cv2
import numpy as np


class Borders:
    """Polygons on the pixel grid, each in a window of its own.

    Edges, rows and windows of all polygons are computed at once, because numpy's calls take longer
    than the arithmetic of a single word. For one polygon the functions of
    :mod:`~vlpt_d2.modeling.detection.raster` are faster.

    Args:
        polygons: (N_i, 2) each, in pixels; pixel (row i, column j) covers [j, j + 1] x [i, i + 1].
            Inside is meant by the even-odd rule.
        margins: (len(polygons),); a window is the polygon's bounding box grown by this much and a
            pixel, within the image; without a margin it is the bounding box.
        image_size: (H, W).

    Attributes:
        sides: (len(polygons), 2), width and height of the bounding boxes, in pixels.
        windows: their slices in the image.
    """

    def __init__(
        self,
        polygons: Sequence[np.ndarray],
        margins: np.ndarray,
        image_size: tuple[int, int],
    ) -> None:
        counts = np.array([len(polygon) for polygon in polygons], np.int64)
        ends = np.cumsum(counts)
        starts = ends - counts
        points = np.concatenate(polygons) if len(polygons) else np.zeros((0, 2))
        low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
        self.sides = high - low
        grown = np.where(margins > 0, np.ceil(margins) + 1, 0)[:, None]
        limits = image_size[::-1]
        corners = np.clip(np.floor(low) - grown, 0, limits).astype(np.int64)
        self._sizes = np.clip(np.ceil(high) + grown, corners, limits).astype(np.int64) - corners
        self.windows = [
            (slice(y, y + height), slice(x, x + width))
            for (x, y), (width, height) in zip(corners.tolist(), self._sizes.tolist())
        ]
        # Edges in their polygon's window, whose pixels' centres are at whole numbers.
        self._edges = list(map(range, starts.tolist(), ends.tolist()))
        self._owners = np.repeat(np.arange(len(counts)), counts)
        self._start = points.astype(np.float64) - (corners + 0.5)[self._owners]
        following = np.arange(1, len(points) + 1)
        following[ends - 1] = starts
        self._end = self._start[following]
        self._reach = margins[self._owners, None]

    def inside(self, i: int) -> np.ndarray:
        """Which pixels of a window have their centre inside the polygon, bool (h, w)."""
        columns, rows, layers = self._spans
        columns = columns[: self._shape(i)[1]]
        # Unsigned, columns to the left of a span wrap around to large numbers.
        left, length = layers[0]
        inside = columns - left[rows[i]] < length[rows[i]]
        for left, length in layers[1:]:
            if length[rows[i]].any():
                inside |= columns - left[rows[i]] < length[rows[i]]
        return inside

    def distance(self, i: int) -> np.ndarray:
        """Distance of the pixels of a window from the border, float32 (h, w) in pixels.

        It is that of the pixels' centres, exact up to float32. Pixels farther than the margin are
        given some distance above it, which may be infinite. The cost is that of the pixels within
        the margin of each edge.
        """
        windows, half, (columns, slices_x), (rows, slices_y) = self._shares
        squared = np.full(self._shape(i), np.inf, np.float32)
        for edge in self._edges[i]:
            both = columns[:, :, slices_x[edge]] + rows[:, slices_y[edge]]
            if both.size:
                # Next to the segment the distance is that to its line; beyond an end, how far
                # beyond it counts too.
                along = both[0]
                np.abs(along, out=along)
                along -= half[edge]
                np.maximum(along, 0, out=along)
                both *= both
                along += both[1]
                nearest = squared[windows[edge]]
                cv2.min(nearest, along, nearest)
        return np.sqrt(squared, out=squared)

    def _shape(self, i: int) -> tuple[int, int]:
        y, x = self.windows[i]
        return y.stop - y.start, x.stop - x.start

    @cached_property
    def _spans(
        self,
    ) -> tuple[np.ndarray, list[slice], list[tuple[np.ndarray, np.ndarray]]]:
        """Where rows are inside their polygon, by unsigned numbers.

        Returns:
            The numbers of columns; the slices of the windows' rows, which follow each other; and
            for the first, second, ... span of each row where it starts and its length, (rows, 1).
        """
        widths, heights = self._sizes[self._owners].T
        (ax, ay), (bx, by) = self._start.T, self._end.T
        low, high = np.clip(np.ceil(np.sort([ay, by], axis=0)), 0, heights).astype(np.int64)
        slope = (bx - ax) / np.where(by == ay, 1.0, by - ay)
        edge, row = _ranges(low, high)
        # First column at or right of each crossing, in order along each row.
        column = np.ceil(ax[edge] + (row - ay[edge]) * slope[edge])
        column = np.clip(column, 0, widths[edge]).astype(np.int64)
        starts = np.cumsum(self._sizes[:, 1]) - self._sizes[:, 1]
        base = int(self._sizes[:, 0].max(initial=0)) + 1
        crossings = np.sort((row + starts[self._owners[edge]]) * base + column)
        left, right = crossings[::2], crossings[1::2]
        left, length = left[left < right], (right - left)[left < right]
        row, left = np.divmod(left, base)
        # Where the ring turns back, rows enter it more than once.
        number = np.arange(len(row)) - np.searchsorted(row, row)
        shape = (number.max(initial=0) + 1, 2, self._sizes[:, 1].sum(), 1)
        spans = np.zeros(shape, np.min_scalar_type(base))
        spans[number, 0, row, 0], spans[number, 1, row, 0] = left, length
        layers = [(span[0], span[1]) for span in spans]
        return np.arange(base, dtype=spans.dtype), _slices(self._sizes[:, 1]), layers

    @cached_property
    def _shares(self) -> tuple:
        """What columns and rows add to the coordinates along and across each edge.

        Returns:
            The slices of the pixels within the margin of each edge, in its window; half the edges'
            lengths; for the columns of all edges (2, 1, N) float32 shares and the edges' slices
            of them; the same of the rows, (2, N, 1).
        """
        edge, middle = self._end - self._start, 0.5 * (self._start + self._end)
        length = np.hypot(edge[:, 0], edge[:, 1])
        direction = edge / np.where(length > 0, length, 1.0)[:, None]
        direction[length == 0] = 1.0, 0.0  # a repeated point is a segment too, in any direction
        sizes = self._sizes[self._owners]
        low = np.ceil(np.minimum(self._start, self._end) - self._reach)
        high = np.floor(np.maximum(self._start, self._end) + self._reach) + 1
        low = np.clip(low, 0, sizes).astype(np.int64)
        high = np.clip(high, low, sizes).astype(np.int64)
        shares: list[tuple[np.ndarray, list[slice]]] = []
        dx, dy = direction.T
        for axis, weights in enumerate(((dx, -dy), (dy, dx))):
            count = high[:, axis] - low[:, axis]
            places = np.repeat(np.cumsum(count) - count - low[:, axis] + middle[:, axis], count)
            np.subtract(np.arange(len(places)), places, out=places)
            values = np.array([np.repeat(weight, count) * places for weight in weights], np.float32)
            shares.append((np.expand_dims(values, 1 + axis), _slices(count)))
        windows = [
            (slice(y0, y1), slice(x0, x1))
            for (x0, y0), (x1, y1) in zip(low.tolist(), high.tolist())
        ]
        return windows, list((0.5 * length).astype(np.float32)), *shares


def _slices(counts: np.ndarray) -> list[slice]:
    """Slices of so many items each, one after the other."""
    ends = np.cumsum(counts)
    return list(map(slice, (ends - counts).tolist(), ends.tolist()))


def _ranges(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The whole numbers of many ranges, one range after the other, and the range of each."""
    counts = high - low
    first = np.cumsum(counts) - counts
    owners = np.repeat(np.arange(len(counts)), counts)
    return owners, np.arange(len(owners)) - (first - low)[owners]
