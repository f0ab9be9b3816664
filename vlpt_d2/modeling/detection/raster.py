"""Polygons on the pixel grid: what label maps and decoding share."""

import math

import cv2
import numpy as np

# Sub-pixel bits of OpenCV's drawing functions.
_SHIFT = 6


def distance_to_border(
    polygon: np.ndarray, margin: float, image_size: tuple[int, int], fineness: int
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """Which pixels of a window lie inside a polygon, and how far from its border they are.

    Args:
        polygon: (N, 2) float32, in pixels.
        margin: the window is the polygon's bounding box grown by this much and a pixel, within
            the image.
        image_size: (H, W).
        fineness: odd; the border is drawn on a grid this many times finer than the pixels.

    Returns:
        The window's slices, bool (h, w) and float32 (h, w) in pixels.
    """
    height, width = image_size
    # The grid: the polygon's surroundings, also beyond the image, where a border may still be the
    # nearest one, but no farther out there than that can matter.
    reach = math.ceil(margin) + 1
    low = np.maximum(np.floor(polygon.min(axis=0)).astype(np.int64) - reach, -reach)
    high = np.ceil(polygon.max(axis=0)).astype(np.int64) + reach
    high = np.minimum(high, (width + reach, height + reach))
    x0, y0 = np.maximum(low, 0).tolist()
    x1, y1 = np.maximum(np.minimum(high, (width, height)), (x0, y0)).tolist()
    window = (slice(y0, y1), slice(x0, x1))
    if x1 == x0 or y1 == y0:
        return window, np.zeros((y1 - y0, x1 - x0), bool), np.zeros((y1 - y0, x1 - x0), np.float32)

    shape = tuple(((high - low)[::-1] * fineness).tolist())
    cells = (polygon.astype(np.float64) - low) * fineness - 0.5
    # OpenCV draws in 32-bit fixed point; the far ends of what leaves the grid do not matter.
    cells = np.clip(cells, -16000, 16000)
    points = [np.round(cells * (1 << _SHIFT)).astype(np.int32)]
    filled = np.zeros(shape, np.uint8)
    cv2.fillPoly(filled, points, 1, cv2.LINE_8, _SHIFT)
    off_border = np.ones(shape, np.uint8)
    cv2.polylines(off_border, points, True, 0, 1, cv2.LINE_8, _SHIFT)
    distance = cv2.distanceTransform(off_border, cv2.DIST_L2, cv2.DIST_MASK_5)

    # An odd fineness puts a cell centre on every pixel centre.
    centres = tuple(
        slice((start - first) * fineness + fineness // 2, (stop - first) * fineness, fineness)
        for start, stop, first in ((y0, y1, int(low[1])), (x0, x1, int(low[0])))
    )
    return window, filled[centres] > 0, distance[centres] / fineness


def mean_inside(probability: np.ndarray, polygon: np.ndarray) -> float:
    """Mean of the map over the pixels of a polygon, given by pixel centres; 0 if there are none."""
    height, width = probability.shape
    x0, y0 = np.clip(np.floor(polygon.min(axis=0)).astype(int), 0, (width - 1, height - 1))
    x1, y1 = np.clip(np.ceil(polygon.max(axis=0)).astype(int), 0, (width - 1, height - 1))
    mask = np.zeros((y1 - y0 + 1, x1 - x0 + 1), np.uint8)
    cv2.fillPoly(mask, [np.round(polygon - (x0, y0)).astype(np.int32)], 1)
    return cv2.mean(probability[y0 : y1 + 1, x0 : x1 + 1], mask)[0]
