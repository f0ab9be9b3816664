"""From TextDragon's maps to text polygons: local boxes are grouped, put in order, and averaged."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from ..decoded import DecodedTexts, largest
from ..grouping import group_pairs
from ..text_axis import average_along, outline, positions_along, unit_vectors

# Input pixels from one cell of the maps to the next.
STRIDE = 4
# Neighbouring cells belong to one text if what their boxes say of its middle, and of its ends, is
# less than this share of the lower box's height apart.
_APART = 0.5
# Length of a stretch of the axis, and side of the cells that put boxes in order, in radii; in cells
# at least.
_STRETCH, _CELL, _LEAST = 0.5, 0.7, 1.0


def decode_maps(
    maps: Mapping[str, np.ndarray], image_size: tuple[int, int], **decoding: Any
) -> DecodedTexts:
    """Decode "score" (1, h, w) and "geometry" (6, h, w) of an image; see ``TextHead.decode``."""
    return decode_with_sides(maps, image_size, **decoding)[0]


def decode_with_sides(
    maps: Mapping[str, np.ndarray], image_size: tuple[int, int], **decoding: Any
) -> tuple[DecodedTexts, list[np.ndarray]]:
    """The same, and the sides of the texts; see :func:`decode_dragon_maps`."""
    height, width = (-(-side // STRIDE) for side in image_size)
    score, geometry = (maps[name][:, :height, :width] for name in ("score", "geometry"))
    return decode_dragon_maps(score[0], geometry, **decoding)


def decode_dragon_maps(
    score: np.ndarray,
    geometry: np.ndarray,
    *,
    polygon_mode: bool = False,
    centre_thresh: float = 0.5,
    score_thresh: float = 0.7,
    max_candidates: int = 1000,
) -> tuple[DecodedTexts, list[np.ndarray]]:
    """Find the texts of an image's maps.

    Neighbouring cells whose boxes agree are one text; see :func:`_groups`. Its axis is cut into
    stretches of half a radius, and the boxes of a stretch are averaged: the middles of their tops
    and of their bottoms are a pair of points on the sides. The first and the last stretch say how
    far the text goes on.

    Args:
        score: (h, w) float32 in [0, 1].
        geometry: (6, h, w) float32: distances to the top, right, bottom and left in input pixels,
            cos and sin of the direction of reading.
        polygon_mode: return the outlines; otherwise their minimum-area rectangles.
        centre_thresh: cells with a larger score give a box.
        score_thresh: drop texts with a smaller mean score.
        max_candidates: texts that are outlined, those of the most cells; 0: all.

    Returns:
        The texts, and the two sides of each in the direction of reading, (2, n, 2), the top first.
    """
    rows, columns = np.nonzero(score > centre_thresh)
    boxes = geometry[:, rows, columns].astype(np.float64)
    boxes[:4] /= STRIDE
    owners = _groups(rows, columns, boxes, score.shape)
    sizes = np.bincount(owners)
    scores = np.bincount(owners, score[rows, columns]) / np.maximum(sizes, 1)
    kept = np.flatnonzero(scores >= score_thresh)
    kept, counts = largest(kept, sizes, max_candidates)
    if not len(kept):
        return DecodedTexts([], np.zeros(0, np.float32), counts), []
    order = np.argsort(owners, kind="stable")
    order = order[np.isin(owners[order], kept)]
    starts = np.cumsum(sizes[kept]) - sizes[kept]
    sides = _sides(rows[order], columns[order], boxes[:, order], starts)
    if polygon_mode:
        polygons = [outline(*pair) for pair in sides]
    else:
        rectangles = [cv2.minAreaRect(np.float32(pair).reshape(-1, 2)) for pair in sides]
        polygons = [cv2.boxPoints(rectangle) for rectangle in rectangles]
    return DecodedTexts(polygons, scores[kept].astype(np.float32), counts), sides


def _groups(
    rows: np.ndarray, columns: np.ndarray, boxes: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """The text of each cell, (N,), numbered from 0.

    A cell and one of its eight neighbours are of one text if the middles of their boxes lie on one
    line, and neither says that its text ends sooner than the other does.

    Args:
        rows, columns: (N,) in raster order.
        boxes: (6, N), distances in cells.
        shape: (h, w) of the map.
    """
    number = np.full((shape[0] + 1, shape[1] + 2), -1, np.int64)
    number[rows, columns + 1] = np.arange(len(rows))
    steps = np.array([(0, 1), (1, -1), (1, 0), (1, 1)])
    second = number[rows + steps[:, :1], columns + 1 + steps[:, 1:]]
    kind, first = np.nonzero(second >= 0)
    second = second[kind, first]
    way = steps.take(kind, axis=0)[:, ::-1].T.astype(np.float64)  # x, y
    agree = np.ones(len(first), bool)
    # Per cell: right, left, cos, sin, the height of its box, and how far below it the middle is.
    values = np.stack([*boxes[[1, 3, 4, 5]], boxes[0] + boxes[2], 0.5 * (boxes[2] - boxes[0])])
    firsts, seconds = values.take(first, axis=1), values.take(second, axis=1)
    lower = _APART * np.minimum(firsts[4], seconds[4])
    turn = firsts[2] * seconds[2] + firsts[3] * seconds[3]
    for one, other, sign in ((firsts, seconds, 1), (seconds, firsts, -1)):
        right, left, cos, sin, height, offset = one
        x, y = sign * way
        along = x * cos + y * sin
        ahead = along > 0
        # A box does not reach farther than its height.
        expected = np.minimum(np.abs(along) + np.where(ahead, other[0], other[1]), height)
        agree &= np.where(ahead, right, left) >= expected - lower
        agree &= np.abs(y * cos - x * sin + other[5] * turn - offset) <= lower
    return group_pairs(len(rows), np.stack([first, second], axis=1)[agree])


def _sides(
    rows: np.ndarray, columns: np.ndarray, boxes: np.ndarray, starts: np.ndarray
) -> list[np.ndarray]:
    """The sides of texts (2, n, 2) in input pixels.

    Args:
        rows, columns: (N,), the cells of one text after those of another.
        boxes: (6, N), distances in cells.
        starts: (M,), index of each text's first cell.
    """
    points = np.stack([columns + 0.5, rows + 0.5], axis=1)
    radius = 0.5 * (boxes[0] + boxes[2])
    mean = np.add.reduceat(radius, starts) / np.diff(starts, append=len(rows))
    cells, steps = (np.maximum(share * mean, _LEAST) for share in (_CELL, _STRETCH))
    along, direction = positions_along(points, boxes[4:].T, starts, cells)
    down = direction[:, ::-1] * (-1.0, 1.0)
    # A direction that was turned has its box turned with it.
    turned = (direction * boxes[4:].T).sum(axis=1) < 0
    top, right, bottom, left = np.where(turned, boxes[[2, 3, 0, 1]], boxes[:4])
    # At least half a cell, so that there is an area.
    top, bottom = np.maximum(top, 0.5 - bottom), np.maximum(bottom, 0.5 - top)
    values = np.column_stack(
        [points - top[:, None] * down, points + bottom[:, None] * down, direction, right, left]
    )
    stretches = average_along(along, values, starts, steps)
    ends, means = stretches.starts, stretches.means
    ways = unit_vectors(means[:, 4:6])
    heads = np.tile(-means[ends[:-1], 7:8] * ways[ends[:-1]], 2)
    tails = np.tile(means[ends[1:] - 1, 6:7] * ways[ends[1:] - 1], 2)
    sides = []
    for i, (start, stop) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist())):
        pairs = means[[start, *range(start, stop), stop - 1], :4]
        pairs[0] += heads[i]
        pairs[-1] += tails[i]
        sides.append(STRIDE * pairs.reshape(-1, 2, 2).transpose(1, 0, 2))
    return sides
