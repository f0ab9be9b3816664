"""From TextSnake's maps to text polygons (TextSnake paper section 3.3).

The paper strides along each centre line, step by step, and joins disks. Here the pixels of all
centre lines are put in order at once; see :func:`~..text_axis.positions_along`.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from ..decoded import DecodedTexts, largest
from ..raster import mean_inside
from ..text_axis import average_along, outline, positions_along, unit_vectors

# Input pixels from one pixel of the maps to the next (paper: 1).
STRIDE = 2
# Each end of a centre line is as far from the text's as this share of the radius there (paper).
END_SHRINK = 0.5
# Centre lines of fewer pixels are specks.
MIN_PIXELS = 8
# Pixels of one centre line that are looked at, about; of more, those of every second row and column
# or of fewer.
_ENOUGH = 4000
# Pixels of the map; a text without an area has no outline.
_LEAST_RADIUS = 0.5
# Length of a stretch of the axis, and side of the cells that put pixels in order, in radii; in
# pixels of the map at least.
_STRETCH, _CELL, _LEAST = 0.5, 0.7, 2.0


def decode_maps(
    maps: Mapping[str, np.ndarray], image_size: tuple[int, int], **decoding: Any
) -> DecodedTexts:
    """Decode "text" and "centre" (1, h, w), "geometry" (3, h, w); see ``TextHead.decode``."""
    height, width = (-(-side // STRIDE) for side in image_size)
    text, centre, geometry = (
        np.ascontiguousarray(maps[name][:, :height, :width])
        for name in ("text", "centre", "geometry")
    )
    return decode_snake_maps(text[0], centre[0], geometry, **decoding)


def decode_snake_maps(
    text: np.ndarray,
    centre: np.ndarray,
    geometry: np.ndarray,
    *,
    polygon_mode: bool = False,
    text_thresh: float = 0.4,
    centre_thresh: float = 0.6,
    score_thresh: float = 0.5,
    max_candidates: int = 1000,
) -> DecodedTexts:
    """Find the texts of an image's maps.

    Each 8-connected region of the centre lines, within the text, is one text. Its axis is cut into
    stretches of half a radius. The middle of a stretch's pixels, their mean radius and their mean
    direction give a pair of points on the sides; beyond its ends the axis goes on straight, by what
    the labels cut off.

    Args:
        text, centre: (H, W) float32, probabilities in [0, 1].
        geometry: (3, H, W) float32: radius in pixels, cos and sin of the direction.
        polygon_mode: return the outlines; otherwise their minimum-area rectangles.
        text_thresh, centre_thresh: thresholds on the two probabilities.
        score_thresh: drop texts with a smaller mean text probability inside the outline.
        max_candidates: regions looked at, largest first; 0: all.

    Returns:
        The texts. "candidates" are regions of ``MIN_PIXELS`` and more.
    """
    pixels, starts, counts = regions_of(
        (centre > centre_thresh) & (text > text_thresh), MIN_PIXELS, max_candidates
    )
    if not len(starts):
        return DecodedTexts([], np.zeros(0, np.float32), counts)
    rows, columns = np.divmod(pixels, text.shape[1])
    points = np.stack([columns + 0.5, rows + 0.5], axis=1)
    radius, cos, sin = geometry.reshape(3, -1)[:, pixels].astype(np.float64)
    radius = np.maximum(radius / STRIDE, _LEAST_RADIUS)
    mean = np.add.reduceat(radius, starts) / np.diff(starts, append=len(pixels))
    cells = np.maximum(_CELL * mean, _LEAST)
    along, direction = positions_along(points, np.stack([cos, sin], axis=1), starts, cells)
    values = np.column_stack([points, radius, direction])
    stretches = average_along(along, values, starts, np.maximum(_STRETCH * mean, _LEAST))

    ends, means = stretches.starts, stretches.means
    centres, radii, ways = means[:, :2], means[:, 2:3], means[:, 3:]
    ways = unit_vectors(ways)
    # The line reaches half a pixel beyond the middles of its last pixels, and was cut before.
    beyond = (
        stretches.overhang[..., None]
        + 0.5
        + END_SHRINK * radii[[ends[:-1], ends[1:] - 1]].swapaxes(0, 1)
    )
    heads = centres[ends[:-1]] - beyond[:, 0] * ways[ends[:-1]]
    tails = centres[ends[1:] - 1] + beyond[:, 1] * ways[ends[1:] - 1]
    across = radii * ways[:, ::-1] * (1.0, -1.0)
    sides, rings = [], []
    for i, (start, stop) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist())):
        axis = np.concatenate([heads[i : i + 1], centres[start:stop], tails[i : i + 1]])
        reach = across[[start, *range(start, stop), stop - 1]]
        sides.append((axis + reach, axis - reach))
        # Pixels are meant by their centres; image coordinates start at a pixel's corner.
        rings.append(np.concatenate([axis + reach, (axis - reach)[::-1]]) - 0.5)
    scores = mean_inside(text, rings)
    kept = np.flatnonzero(scores >= score_thresh).tolist()
    if polygon_mode:
        polygons = [outline(*sides[i]) for i in kept]
    else:
        boxes = [cv2.minAreaRect(np.concatenate(sides[i]).astype(np.float32)) for i in kept]
        polygons = [cv2.boxPoints(box) for box in boxes]
    polygons = [polygon * np.float32(STRIDE) for polygon in polygons]
    return DecodedTexts(polygons, scores[kept].astype(np.float32), counts)


def regions_of(
    mask: np.ndarray, min_pixels: int, limit: int
) -> tuple[np.ndarray, np.ndarray, Counter[str]]:
    """The pixels of a map's 8-connected regions, one region after the other.

    Args:
        mask: (H, W) bool.
        min_pixels: smaller regions are left out.
        limit: regions, the largest first; 0: all.

    Returns:
        Indices into the flattened map (N,); of the first pixel of each region (M,); and the counts
        of :func:`~..decoded.largest`.
    """
    _, regions, stats, _ = cv2.connectedComponentsWithStats(
        mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S
    )
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    large, counts = largest(np.flatnonzero(areas >= min_pixels), areas, limit)
    number = np.full(len(areas), -1, np.int32)
    number[large] = np.arange(len(large))
    pixels = np.flatnonzero(mask)
    owners = number[regions.ravel()[pixels]]
    pixels, owners = pixels[owners >= 0], owners[owners >= 0]
    every = np.ceil(np.sqrt(areas[large] / _ENOUGH)).astype(np.int64)
    if (every > 1).any():
        rows, columns = np.divmod(pixels, mask.shape[1])
        step = every[owners]
        taken = (rows % step == 0) & (columns % step == 0)
        pixels, owners = pixels[taken], owners[taken]
    # Short numbers are sorted faster.
    order = np.argsort(owners.astype(np.min_scalar_type(len(large))), kind="stable")
    found = np.bincount(owners, minlength=len(large))
    starts = np.cumsum(found) - found
    return pixels[order], starts[found > 0], counts
