"""From EAST's maps to rectangles (argman/EAST eval.py)."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from ..decoded import DecodedTexts
from ..rectangles import corners_from_distances
from .nms import locality_aware_nms

# Input pixels from one cell of the maps to the next.
STRIDE = 4
# Points along each side at which the core of a box is looked at.
_SAMPLES = 8


def decode_maps(
    maps: Mapping[str, np.ndarray], image_size: tuple[int, int], **decoding: Any
) -> DecodedTexts:
    """Decode "score" (1, h, w) and "geometry" (5, h, w) of an image; see ``TextHead.decode``."""
    height, width = (-(-side // STRIDE) for side in image_size)
    score, geometry = (maps[name][:, :height, :width] for name in ("score", "geometry"))
    return decode_east_maps(score[0], geometry, **decoding)


def decode_east_maps(
    score: np.ndarray,
    geometry: np.ndarray,
    *,
    score_thresh: float = 0.8,
    nms_thresh: float = 0.2,
    box_thresh: float = 0.1,
    shrink_ratio: float = 0.3,
    max_cells: int = 20000,
    max_boxes: int = 1000,
) -> DecodedTexts:
    """Find the texts of a score and a geometry map.

    Every cell above ``score_thresh`` gives a rectangle; :func:`locality_aware_nms` makes them few.
    Their scores are means of the score map in the core of each rectangle, the part that labels
    fill, so that perfect maps give nearly 1.

    Args:
        score: (h, w) float32 in [0, 1].
        geometry: (5, h, w) float32: distances to the top, right, bottom and left side in input
            pixels, angle in radians.
        score_thresh, nms_thresh, box_thresh: of cells, of the merging and the suppression, of
            texts.
        shrink_ratio: of the labels; the core's sides are away from the rectangle's by this share
            of its shorter side.
        max_cells: cells that give a rectangle; 0: all. Where there are more, connected regions
            take turns, each with its highest score first, so that a large text leaves no small one
            without cells.
        max_boxes: merged rectangles that take part in the suppression, highest sums of scores
            first; 0: all.

    Returns:
        Rectangles from the top left. Their counts are "cells", those above the threshold, and
        "boxes", the merged rectangles; "dropped_cells" and "dropped_boxes" of them are beyond the
        limits.
    """
    cells = np.flatnonzero(score > score_thresh)
    dropped = max(0, len(cells) - max_cells) if max_cells else 0
    counts = Counter(cells=len(cells), dropped_cells=dropped)
    values = score.ravel()[cells]
    if dropped:
        chosen = _in_turns(score, cells, max_cells)
        cells, values = cells[chosen], values[chosen]
    boxes = restore_boxes(cells, geometry)
    boxes, _, merged = locality_aware_nms(
        boxes, values.astype(np.float64), nms_thresh, max_boxes=max_boxes
    )
    counts.update(merged)
    means = _mean_in_cores(score, boxes, shrink_ratio)
    keep = means > box_thresh
    return DecodedTexts(list(boxes[keep].astype(np.float32)), means[keep], counts)


def _in_turns(score: np.ndarray, cells: np.ndarray, count: int) -> np.ndarray:
    """Choose ``count`` of the cells: every region's best one first, then their second best ...

    Returns:
        Their places among ``cells``, sorted.
    """
    mask = np.zeros(score.shape, np.uint8)
    mask.ravel()[cells] = 1
    regions = cv2.connectedComponents(mask, connectivity=4)[1].ravel()[cells]
    values = score.ravel()[cells]
    # By region, then by score: the bits of positive floats are ordered as these are.
    order = np.argsort((regions.astype(np.int64) << 32) - values.view(np.int32), kind="stable")
    sizes = np.bincount(regions)
    turn = np.empty(len(cells), np.int64)
    turn[order] = np.arange(len(cells)) - (np.cumsum(sizes) - sizes)[regions[order]]
    # Whole turns, and the best cells of the one that is cut short.
    last = np.searchsorted(np.cumsum(np.bincount(turn)), count)
    sure, rest = np.flatnonzero(turn < last), np.flatnonzero(turn == last)
    rest = rest[np.argsort(-values[rest], kind="stable")[: count - len(sure)]]
    return np.sort(np.append(sure, rest))


def _mean_in_cores(score: np.ndarray, boxes: np.ndarray, shrink_ratio: float) -> np.ndarray:
    """Mean of the cells under a grid of points in each box's core, float32 (N,).

    Points outside the map do not count; a box without any other has 0.
    """
    sides = boxes[:, [1, 3]] - boxes[:, :1]  # (N, 2, 2): to the right, and down
    lengths = np.maximum(np.linalg.norm(sides, axis=2), 1e-9)
    margin = shrink_ratio * lengths.min(axis=1, keepdims=True) / lengths
    steps = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    shares = margin[..., None] + (1 - 2 * margin[..., None]) * steps  # (N, 2, samples)
    along = shares[..., None] * sides[:, :, None]  # (N, 2, samples, xy)
    points = boxes[:, None, None, 0] + along[:, 0, :, None] + along[:, 1, None]
    cells = np.floor(points / STRIDE).astype(np.int64)
    inside = ((cells >= 0) & (cells < score.shape[::-1])).all(axis=3)
    columns, rows = np.where(inside, cells.transpose(3, 0, 1, 2), 0)
    totals = np.where(inside, score[rows, columns], 0).sum(axis=(1, 2))
    return (totals / np.maximum(inside.sum(axis=(1, 2)), 1)).astype(np.float32)


def restore_boxes(cells: np.ndarray, geometry: np.ndarray) -> np.ndarray:
    """Rectangles that cells stand for.

    Args:
        cells: (N,) indices into the flattened map.
        geometry: (5, h, w), see :func:`decode_east_maps`.

    Returns:
        (N, 4, 2) float64 corners in input pixels, clockwise on screen from the top left.
    """
    rows, columns = np.divmod(cells, geometry.shape[2])
    values = geometry.reshape(5, -1).take(cells, axis=1).astype(np.float64)
    points = (np.stack([columns, rows], axis=1) + 0.5) * STRIDE
    return corners_from_distances(points, values[:4].T, values[4])
