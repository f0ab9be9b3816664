"""From the maps of GNNets' branches to rectangles: EAST's decoding of each, and NMS of all."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..decoded import DecodedTexts
from ..east.decode import decode_east_maps
from ..east.nms import boxes_from_corners, suppress

# Image pixels from one cell to the next, of the branches at full and at half size.
STRIDES = (4, 8)
# Branches of each size.
ORIENTATIONS = 4
# A text is learnt, and found, at a size that it does not belong to within this factor.
OVERLAP = 1.2


def size_ranges(split_size: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Least and largest short side of the texts of each of STRIDES, in pixels of its own size."""
    return (0.0, split_size * OVERLAP), (split_size / OVERLAP / 2, math.inf)


def decode_maps(
    maps: Mapping[str, np.ndarray], image_size: tuple[int, int], **decoding: Any
) -> DecodedTexts:
    """Decode "score_4" to "geometry_8" of an image; see ``TextHead.decode``."""
    levels = []
    for stride in STRIDES:
        height, width = (-(-side // stride) for side in image_size)
        scores, geometry = maps[f"score_{stride}"], maps[f"geometry_{stride}"]
        levels.append((scores[:, :height, :width], geometry[:, :height, :width]))
    return decode_gnnets_maps(levels, **decoding)


def decode_gnnets_maps(
    levels: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    split_size: float = 40.0,
    nms_thresh: float = 0.2,
    score_thresh: float = 0.8,
    max_cells: int = 20000,
    max_boxes: int = 600,
    max_candidates: int = 1000,
    **decoding: Any,
) -> DecodedTexts:
    """Find the texts of the maps of all branches.

    Each branch is decoded as EAST's maps are, without the cells whose rectangle is outside of the
    branch's range of sizes. Of all their rectangles those remain that no better one overlaps.

    Args:
        levels: of each of STRIDES the scores (4, h, w) of its branches, and their geometry
            (20, h, w), five numbers each, as :func:`~..east.decode.decode_east_maps` takes them:
            in the image's orientation, in pixels of an image of this size.
        split_size: MODEL.GNNETS.SPLIT_SIZE.
        nms_thresh: of the merging and the suppression.
        score_thresh: of cells.
        max_cells, max_boxes: cells that give a rectangle, and merged rectangles that take part in
            the suppression, of all branches; 0: all. Branches with many cells share them evenly.
        max_candidates: texts that are returned, highest scores first; 0: all.
        decoding: further arguments of ``decode_east_maps``.

    Returns:
        Rectangles, highest scores first; counts with the sums of those of ``decode_east_maps``.
    """
    branches, cells = [], []
    for (scores, geometry), (low, high) in zip(levels, size_ranges(split_size), strict=True):
        for score, numbers in zip(scores, geometry.reshape(ORIENTATIONS, 5, *scores.shape[1:])):
            places = np.flatnonzero(score > score_thresh)
            top, right, bottom, left, _ = numbers.reshape(5, -1).take(places, axis=1)
            side = np.minimum(top + bottom, right + left)
            outside = places[(side < low) | (side > high)]
            if len(outside):
                score = score.copy()
                score.ravel()[outside] = 0
            branches.append((score, numbers))
            cells.append(len(places) - len(outside))
    counts: Counter[str] = Counter()
    corners: list[np.ndarray] = [np.zeros((0, 4, 2))]
    means = [np.zeros(0, np.float32)]
    left = np.array([max_cells or sum(cells), max_boxes or sum(cells)])
    # The branches with the fewest cells first, so that they leave the others what they spare.
    order = np.argsort(cells, kind="stable").tolist()
    for place, branch in enumerate(order):
        if not cells[branch]:
            continue
        limits = np.maximum(left // (len(order) - place), 1).tolist()
        left -= np.minimum(limits, cells[branch])
        found = decode_east_maps(
            *branches[branch],
            score_thresh=score_thresh,
            nms_thresh=nms_thresh,
            max_cells=limits[0],
            max_boxes=limits[1],
            **decoding,
        )
        counts.update(found.counts)
        if found.polygons:
            factor = STRIDES[branch // ORIENTATIONS] / STRIDES[0]
            corners.append(np.stack(found.polygons) * factor)
            means.append(found.scores)
    rectangles, values = np.concatenate(corners), np.concatenate(means)
    best = np.argsort(-values, kind="stable")
    best = best[suppress(boxes_from_corners(rectangles[best]), nms_thresh)]
    dropped = max(0, len(best) - max_candidates) if max_candidates else 0
    counts.update(candidates=len(best), dropped_candidates=dropped)
    best = best[: len(best) - dropped]
    return DecodedTexts(list(rectangles[best].astype(np.float32)), values[best], counts)
