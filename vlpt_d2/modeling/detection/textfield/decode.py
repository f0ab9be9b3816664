"""From TextField's directions to text polygons (paper section III-D; YukangWang/TextField)."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from ..decoded import DecodedTexts
from ..regions import choose_regions, outline_regions

# Input pixels from one cell of the maps to the next.
STRIDE = 2
# The reference's sizes, in input pixels. An ending to which paths longer than DEEP lead reaches on
# by what they are longer, at most REACH: across the middle of high texts, where directions are
# short. Gaps of texts up to about CLOSING are closed.
_DEEP, _REACH, _CLOSING = 16, 12, 11
# Texts have endings of all directions, whose mean is short: a longer one than this is no text.
_MAX_IMBALANCE = 0.6
# The cosine of the angle between two directions from which on one points back.
_BACK = np.float32(-0.5)
# Paths are followed for at least 2^10 steps.
_DOUBLINGS = 10
# The eight steps (row, column).
_STEPS = np.array([(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)])
# The number of a step, at 3 row + column + 4.
_NUMBERS = np.array([5, 6, 7, 4, 0, 0, 3, 2, 1], np.int8)


def decode_maps(
    maps: Mapping[str, np.ndarray], image_size: tuple[int, int], **decoding: Any
) -> DecodedTexts:
    """Decode "direction", (2, h, w), of an image; see ``TextHead.decode``."""
    height, width = (-(-side // STRIDE) for side in image_size)
    field = maps["direction"][:, :height, :width]
    return decode_direction_field(field, stride=STRIDE, **decoding)


def decode_direction_field(
    field: np.ndarray,
    *,
    stride: int = 1,
    polygon_mode: bool = False,
    magnitude_thresh: float = 0.5,
    score_thresh: float = 0.0,
    min_area: float = 50.0,
    max_candidates: int = 1000,
) -> DecodedTexts:
    """Find the texts of a direction field: the groups of :func:`group_pixels`, outlined.

    Args:
        field: (2, H, W) float32, x and y of the directions; text where they are long.
        stride: of the map, in input pixels.
        polygon_mode: outlines are simplified contours, without holes; otherwise minimum-area
            rectangles.
        magnitude_thresh: pixels with a longer direction are text.
        score_thresh: texts with a smaller mean length of their directions (1 at most of each) are
            dropped.
        min_area: texts below this many input pixels are dropped.
        max_candidates: texts that pass these filters and are outlined, largest first; 0: all.
    """
    magnitude = cv2.magnitude(field[0], field[1])
    labels = group_pixels(field, magnitude > magnitude_thresh, stride)
    kept, scores, counts = choose_regions(
        labels,
        np.minimum(magnitude, 1.0, out=magnitude),
        score_thresh=score_thresh,
        min_area=min_area / stride**2,
        max_candidates=max_candidates,
    )
    closing = 2 * (_CLOSING // (2 * stride)) + 1
    outlines = outline_regions(labels, kept, polygon_mode=polygon_mode, closing=closing)
    return DecodedTexts([outline * stride for outline in outlines], scores, counts)


def group_pixels(field: np.ndarray, text: np.ndarray, stride: int = 1) -> np.ndarray:
    """Number the texts of a direction field.

    Each text pixel points at one of its eight neighbours. The paths along them run away from the
    border of a text and end on both sides of its middle: at a pixel that points out of the text
    map or at one that points back, more than 120 degrees away. Paths that end nowhere run into a
    ring of pixels, which are all endings. The endings, grown by a pixel, and their reach across the
    middle join into the 8-connected groups that are texts. A pixel belongs to the group that its
    path ends in. Groups whose endings do not face each other, so that
    the mean of their unit vectors is long, are dropped.

    Args:
        field: (2, H, W) float32, x and y of the directions.
        text: (H, W) bool.
        stride: of the map, in input pixels.

    Returns:
        (H, W) int32, from 1 without gaps; 0 is no text.
    """
    height, width = text.shape
    labels = np.zeros(text.shape, np.int32)
    pixels = np.flatnonzero(text).astype(np.int32)
    if not pixels.size:
        return labels
    rows = pixels // np.int32(width)
    columns = pixels - np.int32(width) * rows
    x, y = field[0].ravel()[pixels], field[1].ravel()[pixels]
    lengths = np.sqrt(x * x + y * y)
    x /= lengths
    y /= lengths
    numbers = _step_numbers(x, y)
    # A border of one pixel that is no text keeps steps from wrapping around.
    own = np.arange(len(pixels), dtype=np.int32)
    indices = np.full((height + 2) * (width + 2), -1, np.int32)
    inner = pixels + 2 * rows + np.int32(width + 3)
    indices[inner] = own
    steps = (_STEPS @ (width + 2, 1)).astype(np.int32)
    target = indices[inner + steps[numbers]]
    is_last = (target < 0) | (x * x[target] + y * y[target] < _BACK)
    end = np.where(is_last, own, target)
    # Each pass doubles the steps.
    for _ in range(_DOUBLINGS):
        further = end[end]
        if np.array_equal(further, end):
            break
        end = further
    # Where all paths are, however far they are followed: the last pixels and all rings.
    is_ending = np.zeros(len(pixels), bool)
    is_ending[end] = True
    endings = np.flatnonzero(is_ending)

    marks: np.ndarray = np.zeros(text.shape, np.uint8)
    marks.ravel()[pixels[endings]] = 1
    marks = cv2.dilate(marks, np.ones((3, 3), np.uint8))
    deep, reach = _DEEP // stride, _REACH // stride
    away = np.maximum(np.abs(rows - rows[end]), np.abs(columns - columns[end]))
    far = np.flatnonzero(away > deep)
    if far.size:
        depth = np.zeros(len(pixels), np.int32)
        np.maximum.at(depth, end[far], away[far])
        high = np.flatnonzero(depth)
        beyond = np.minimum(depth[high] - deep, reach)
        for step in range(1, reach + 1):
            high, beyond = high[beyond >= step], beyond[beyond >= step]
            row = rows[high] + step * _STEPS[numbers[high], 0]
            column = columns[high] + step * _STEPS[numbers[high], 1]
            on_map = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            marks[row[on_map], column[on_map]] = 1

    count, groups = cv2.connectedComponents(marks, connectivity=8)
    group = groups.ravel()[pixels]
    owners = group[endings]
    sums = [np.bincount(owners, part[endings], count) for part in (x, y)]
    keep = np.hypot(*sums) <= _MAX_IMBALANCE * np.bincount(owners, minlength=count)
    keep[0] = False
    labels.ravel()[pixels] = np.where(keep, np.cumsum(keep), 0).astype(np.int32)[group[end]]
    return labels


def _step_numbers(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The number in _STEPS of the step nearest to each unit vector."""
    limit = np.float32(np.sin(np.pi / 8))
    columns = (x > limit).view(np.int8) - (x < -limit).view(np.int8)
    rows = (y > limit).view(np.int8) - (y < -limit).view(np.int8)
    return _NUMBERS[3 * rows + columns + 4]
