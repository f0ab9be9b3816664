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

__all__ = ["Mask", "fill", "shared_pixels"]


@dataclass
class Mask:
    """The pixels of one polygon.

    Attributes:
        x: column of the mask's first pixel.
        y: row of the mask's first pixel.
        pixels: (H, W) bool.
        box: (x0, y0, x1, y1) of the polygon's points.
    """

    x: int
    y: int
    pixels: np.ndarray
    box: tuple[float, float, float, float]

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.pixels))


def fill(points: np.ndarray) -> Mask:
    """Fill a polygon; one that crosses itself is filled by the even-odd rule.

    Args:
        points: (N, 2) finite points in pixels.
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    if not len(points):
        return Mask(0, 0, np.zeros((0, 0), dtype=bool), (0.0, 0.0, 0.0, 0.0))
    box = (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
    x0, y0 = max(0, int(box[0])), max(0, int(box[1]))
    width, height = (max(0, int(np.ceil(box[i + 2])) + 1 - o) for i, o in ((0, x0), (1, y0)))
    # A pixel is inside if an odd number of edges crosses its row at its right: each crossing flips
    # all pixels before it, and running parities add them up.
    flips = np.zeros((height, width + 1), dtype=np.int64)
    rows = np.arange(y0, y0 + height, dtype=np.float64)
    for (xa, ya), (xb, yb) in zip(np.roll(points, 1, axis=0), points):
        crossed = ((ya <= rows) & (rows < yb)) | ((yb <= rows) & (rows < ya))
        if not crossed.any():
            continue
        crossing = (xa - xb) * (rows[crossed] - yb) / (ya - yb) + xb
        ends = np.clip(np.ceil(crossing).astype(np.int64) - x0, 0, width)
        flips[crossed, 0] += 1
        np.add.at(flips, (np.flatnonzero(crossed), ends), 1)
    inside = np.cumsum(flips, axis=1)[:, :width] % 2 == 1
    return Mask(x0, y0, inside, box)


def shared_pixels(first: Mask, second: Mask) -> int:
    """Count the pixels of both; 0 where their boxes share no more than one square pixel."""
    width = min(first.box[2], second.box[2]) - max(first.box[0], second.box[0])
    height = min(first.box[3], second.box[3]) - max(first.box[1], second.box[1])
    if max(width, 0) * max(height, 0) <= 1:
        return 0
    x0, y0 = max(first.x, second.x), max(first.y, second.y)
    x1 = min(m.x + m.pixels.shape[1] for m in (first, second))
    y1 = min(m.y + m.pixels.shape[0] for m in (first, second))
    if x1 <= x0 or y1 <= y0:
        return 0
    parts = (m.pixels[y0 - m.y : y1 - m.y, x0 - m.x : x1 - m.x] for m in (first, second))
    return int(np.count_nonzero(np.logical_and(*parts)))
