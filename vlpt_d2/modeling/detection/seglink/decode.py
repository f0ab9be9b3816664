"""From SegLink's segments and links to rectangles (SegLink paper section 3.3)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..decoded import DecodedTexts, largest
from ..grouping import group_pairs
from ..rectangles import rectangle_corners

# Input pixels from one cell to the next, of each level.
STRIDES = (8, 16, 32, 64, 128, 256)
# Side of a cell's default box, in strides (paper, equation 1).
BOX_SIDE = 1.5
# Numbers that describe a segment: x, y, width, height, and cosine and sine of twice the angle.
GEOMETRY = 6
# Rows and columns from a cell to those it may be linked to: on its own level, and from the upper
# left of the four on the next finer one.
WITHIN = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
ACROSS = ((0, 0), (0, 1), (1, 0), (1, 1))
# Channels of a level's map: text, geometry, links within the level, links to the next finer one.
LINKS = 1 + GEOMETRY
# Widest and highest segment, as the logarithm of default boxes: far beyond what labels have.
_LARGEST = 3.0


def decode_maps(
    maps: Mapping[str, np.ndarray], image_size: tuple[int, int], **decoding: Any
) -> DecodedTexts:
    """Decode "level_8" to "level_256" of an image; see ``TextHead.decode``."""
    levels = []
    for stride in STRIDES:
        height, width = (-(-side // stride) for side in image_size)
        levels.append(maps[f"level_{stride}"][:, :height, :width])
    return decode_seglink_maps(levels, **decoding)


def decode_seglink_maps(
    maps: Sequence[np.ndarray],
    *,
    segment_thresh: float = 0.9,
    link_thresh: float = 0.7,
    max_candidates: int = 1000,
) -> DecodedTexts:
    """Find the texts of the maps of all levels.

    Cells above ``segment_thresh`` give segments. Two of them with a link above ``link_thresh``, in
    either direction, belong to one text. A text is the rectangle along the mean direction of its
    segments, through the mean of their centres, of their mean height, from the far end of the first
    segment to that of the last (algorithm 1 of the paper, with directions in place of slopes).

    Args:
        maps: of each of STRIDES, (C, h, w) float32: the probability of a segment, its six numbers
            (see :func:`.labels.draw_seglink_labels`), the probabilities of the links to the
            neighbours WITHIN and, but on the finest level, of those ACROSS levels.
        segment_thresh, link_thresh: see above.
        max_candidates: texts that are returned, highest scores first; 0: all.

    Returns:
        Rectangles from the corner at which they start along their direction; their scores are the
        mean probability of their segments.
    """
    probability = np.concatenate([m[0].ravel() for m in maps])
    kept = np.flatnonzero(probability > segment_thresh)
    groups = group_pairs(len(kept), _linked(maps, kept, len(probability), link_thresh))
    centres, sizes, doubled = _segments(maps, kept)
    corners, scores = _combine(groups, centres, sizes, doubled, probability[kept])
    best, counts = largest(np.arange(len(scores)), scores, max_candidates)
    corners, scores = corners[best].astype(np.float32), scores[best].astype(np.float32)
    return DecodedTexts(list(corners), scores, counts)


def _linked(
    maps: Sequence[np.ndarray], kept: np.ndarray, cells: int, link_thresh: float
) -> np.ndarray:
    """Pairs of kept cells that are linked, (P, 2) places among them."""
    numbers = np.full(cells, -1, np.int32)
    numbers[kept] = np.arange(len(kept), dtype=np.int32)
    pairs, start, finer = [np.zeros((0, 2), np.int32)], 0, None
    for level in maps:
        height, width = level.shape[1:]
        here = numbers[start : start + height * width].reshape(height, width)
        start += height * width
        # Cells beside the map are never kept.
        around = np.pad(here, 1, constant_values=-1)
        others = [around[1 + y :, 1 + x :][:height, :width] for y, x in WITHIN]
        if finer is not None:
            ends = [(0, 2 * full - part) for full, part in zip(here.shape, finer.shape)]
            below = np.pad(finer, ends, constant_values=-1)
            others += [below[y::2, x::2] for y, x in ACROSS]
        if (here >= 0).any():
            for link, other in zip(level[LINKS:], others, strict=True):
                on = (link > link_thresh) & (here >= 0) & (other >= 0)
                pairs.append(np.column_stack([here[on], other[on]]))
        finer = here
    return np.concatenate(pairs)


def _segments(
    maps: Sequence[np.ndarray], kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres (N, 2) and sizes (N, 2) in pixels, cosine and sine of twice the angle (N, 2)."""
    geometry = np.concatenate([m[1:LINKS].reshape(GEOMETRY, -1) for m in maps], axis=1)
    geometry = geometry[:, kept].astype(np.float64)
    sizes = [m.shape[1] * m.shape[2] for m in maps]
    ends = np.cumsum(sizes)
    level = np.searchsorted(ends, kept, side="right")
    rows, columns = np.divmod(
        kept - (ends - sizes)[level], np.array([m.shape[2] for m in maps])[level]
    )
    stride = np.array(STRIDES, np.float64)[level]
    side = BOX_SIDE * stride
    middle = (np.stack([columns, rows]) + 0.5) * stride
    centres = middle + geometry[:2] * side
    return centres.T, (np.exp(np.minimum(geometry[2:4], _LARGEST)) * side).T, geometry[4:].T


def _combine(
    groups: np.ndarray,
    centres: np.ndarray,
    sizes: np.ndarray,
    doubled: np.ndarray,
    probability: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Corners (M, 4, 2) and scores (M,) of the groups."""
    count = int(groups.max(initial=-1)) + 1
    number = np.bincount(groups, minlength=count)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(groups, values, count) / number

    angles = 0.5 * np.arctan2(mean(doubled[:, 1]), mean(doubled[:, 0]))
    middle = np.stack([mean(centres[:, 0]), mean(centres[:, 1])], axis=1)
    direction = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # Along the line through the middle: where each segment's centre is.
    along = ((centres - middle[groups]) * direction[groups]).sum(axis=1)
    half = 0.5 * sizes[:, 0]
    # Of centres at one place the widest segment counts.
    first = np.lexsort((-half, along, groups))
    last = np.lexsort((half, along, groups))
    starts = np.cumsum(number) - number
    first, last = first[starts], last[starts + number - 1]
    low, high = along[first] - half[first], along[last] + half[last]
    middle += (0.5 * (low + high))[:, None] * direction
    rectangles = np.stack([high - low, mean(sizes[:, 1])], axis=1)
    return rectangle_corners(middle, rectangles, angles), mean(probability)
