"""Areas of polygons on the pixel raster, as Total-Text's first script measures them.

cs-chan/Total-Text-Dataset, Evaluation_Protocol/Python_scripts/polygon_wrapper.py counts the pixels
that ``skimage.draw.polygon`` fills. A pixel belongs to a polygon if its (whole-numbered) position
lies inside by the crossing rule: left and upper edges belong to it, right and lower ones do not.
That is scikit-image's rule until 2019, the one the script was written with; later versions fill the
lower and right edges as well, and there the script stops with an IndexError, as those pixels lie
outside its masks. Pixels at negative positions do not exist.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Crossings", "fill", "shared_pixels"]


@dataclass
class Crossings:
    """The pixels of one polygon, as runs: no memory is needed for the area.

    Attributes:
        rows: (C,) rows in which an edge crosses, sorted; every row occurs an even number of times.
        ends: (C,) first columns right of each crossing, sorted within a row. The pixels from every
            first to every second one of a row are the polygon's.
        box: (x0, y0, x1, y1) of the polygon's points.
    """

    rows: np.ndarray
    ends: np.ndarray
    box: tuple[float, float, float, float]

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int((self.ends[1::2] - self.ends[::2]).sum())


def fill(points: np.ndarray) -> Crossings:
    """Fill a polygon; one that crosses itself is filled by the even-odd rule.

    Args:
        points: (N, 2) finite points in pixels.
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    if not len(points):
        return Crossings(np.zeros(0, np.int64), np.zeros(0, np.int64), (0.0, 0.0, 0.0, 0.0))
    box = (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
    rows, ends = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for (xa, ya), (xb, yb) in zip(np.roll(points, 1, axis=0), points):
        first, last = (max(0, int(np.ceil(y))) for y in (min(ya, yb), max(ya, yb)))
        if first < last:
            crossed = np.arange(first, last)
            crossing = (xa - xb) * (crossed - yb) / (ya - yb) + xb
            rows.append(crossed)
            ends.append(np.maximum(np.ceil(crossing), 0).astype(np.int64))
    return Crossings(*_in_order(np.concatenate(rows), np.concatenate(ends)), box)


def shared_pixels(first: Crossings, second: Crossings) -> int:
    """Count the pixels of both; 0 where their boxes share no more than one square pixel."""
    width = min(first.box[2], second.box[2]) - max(first.box[0], second.box[0])
    height = min(first.box[3], second.box[3]) - max(first.box[1], second.box[1])
    if max(width, 0) * max(height, 0) <= 1:
        return 0
    # The crossings of both polygons bound the pixels of exactly one of them.
    both = np.concatenate([first.rows, second.rows]), np.concatenate([first.ends, second.ends])
    only_one = Crossings(*_in_order(*both), first.box).area
    return (first.area + second.area - only_one) // 2


def _in_order(rows: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((ends, rows))
    return rows[order], ends[order]
