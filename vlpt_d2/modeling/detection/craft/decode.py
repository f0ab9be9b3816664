"""From CRAFT's region and affinity scores to texts (clovaai/CRAFT-pytorch craft_utils.py)."""

import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from scipy.spatial import cKDTree

from ..decoded import DecodedTexts, largest

# Input pixels from one pixel of the maps to the next.
STRIDE = 2
# Standard deviation of the Gaussian of a character, in halves of its sides.
SIGMA = 0.6
# Texts of fewer pixels of the maps are dropped (clovaai/CRAFT-pytorch).
_MIN_AREA = 10
# Peaks of the region score above this value are characters.
_PEAK = 0.5
# Spreads a and b of pixels on two axes, (a - b) / (a + b), of an ellipse whose sides are 1.1 to 1.
_ROUND = (1.1**2 - 1) / (1.1**2 + 1)
# Of characters: below, their line is so bent that they do not lie in order along an axis.
_BENT = 0.8
# More characters of a text, and more texts that are so bent, are those of a network in its first
# epochs.
_LONGEST, _MOST_BENT = 32, 100
# From so many characters and pixels of height on, a text may be curved.
_CURVED, _CURVED_HEIGHT = 3, 4.0


def decode_maps(
    maps: Mapping[str, np.ndarray], image_size: tuple[int, int], **decoding: Any
) -> DecodedTexts:
    """Decode "region" and "affinity", (1, h, w) each; see ``TextHead.decode``."""
    height, width = (-(-side // STRIDE) for side in image_size)
    region, affinity = (maps[name][0, :height, :width] for name in ("region", "affinity"))
    return decode_craft_maps(region, affinity, **decoding)


def decode_craft_maps(
    region: np.ndarray,
    affinity: np.ndarray,
    *,
    polygon_mode: bool = False,
    text_thresh: float = 0.7,
    low_text: float = 0.5,
    link_thresh: float = 0.4,
    max_candidates: int = 1000,
) -> DecodedTexts:
    """Find the texts of a region and an affinity map.

    The 4-connected components of the pixels above ``low_text`` or ``link_thresh`` are texts. The
    rectangle of a text's pixels above ``low_text`` along the line of its characters, which are the
    peaks of the region score, grows back to what the Gaussians come from: across the text by the
    share of a character that is below ``low_text``, along it by that of half a character at each
    end.

    Args:
        region, affinity: (h, w) float32.
        polygon_mode: texts of at least three characters are outlined along these; otherwise they
            are rectangles, too.
        text_thresh, low_text, link_thresh: see above; texts without a pixel of at least
            ``text_thresh`` in the region map are dropped.
        max_candidates: texts that are returned, largest first; 0: all.

    Returns:
        The texts; their scores are the mean region score at the peaks of their characters.
    """
    text = region > low_text
    joined = text | (affinity > link_thresh)
    number, labels = cv2.connectedComponents(joined.view(np.uint8), connectivity=4)
    areas = np.bincount(labels.ravel(), minlength=number)
    sure = np.bincount(labels[region >= text_thresh], minlength=number) > 0
    kept = 1 + np.flatnonzero(sure[1:] & (areas[1:] >= _MIN_AREA))
    kept, counts = largest(kept, areas, max_candidates)
    renumbered = np.zeros(number, np.int32)
    renumbered[kept] = np.arange(1, len(kept) + 1)
    # Pixels that are only links join characters, and belong to no text.
    pixels = np.flatnonzero(text)
    owners = renumbered[labels.ravel()[pixels]]
    labels = np.zeros_like(labels)
    labels.ravel()[pixels] = owners
    centres, owners, heights = _characters(region, labels)
    count = np.bincount(owners, minlength=len(kept))
    scores = np.bincount(owners, heights, len(kept)) / np.maximum(count, 1)
    # Of a character's half this share is above the threshold.
    share = SIGMA * math.sqrt(2 * math.log(1 / min(max(low_text, 0.01), 0.99)))
    points, starts = _run_ends(labels, len(kept))
    rectangles = _rectangles(labels, points, starts, centres, owners, share)
    polygons = list(_to_image(rectangles))
    if polygon_mode:
        large = np.linalg.norm(rectangles[:, 3] - rectangles[:, 0], axis=1) >= _CURVED_HEIGHT
        for i, outline in _outlines(points, starts, centres, owners, large, share):
            polygons[i] = outline
    return DecodedTexts(polygons, np.clip(scores, 0, 1).astype(np.float32), counts)


def _to_image(points: np.ndarray) -> np.ndarray:
    """From pixel centres of the map to input pixels, float32, which start at their corner."""
    return ((points + 0.5) * STRIDE).astype(np.float32)


def _characters(
    region: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The peaks of the region score in texts: (x, y) (P, 2), their texts from 0, their scores.

    A peak is put between the pixels, where the Gaussian through it and its neighbours has it.
    """
    top = cv2.dilate(region, np.ones((3, 3), np.uint8))
    peaks = (region >= top) & (region > _PEAK) & (labels > 0)
    count, plateaus = cv2.connectedComponents(peaks.view(np.uint8), connectivity=8)
    rows, columns = np.divmod(np.flatnonzero(peaks), region.shape[1])
    plateau = plateaus[rows, columns] - 1
    sizes = np.bincount(plateau, minlength=count - 1)[:, None]
    centres = [np.bincount(plateau, v, count - 1) for v in (columns, rows)] / sizes.T
    centres = np.ascontiguousarray(centres.T)
    first = np.zeros((2, count - 1), np.int64)
    first[:, plateau] = rows, columns
    rows, columns = first
    heights, (height, width) = region[rows, columns], region.shape
    for axis, (dy, dx) in enumerate(((0, 1), (1, 0))):
        before = region[np.maximum(rows - dy, 0), np.maximum(columns - dx, 0)]
        after = region[np.minimum(rows + dy, height - 1), np.minimum(columns + dx, width - 1)]
        low, high, here = (np.log(np.maximum(v, 1e-3)) for v in (before, after, heights))
        bend = np.maximum(2 * here - low - high, 1e-6)
        # A plateau of several pixels has its middle already.
        single = (before < heights) & (after < heights)
        centres[:, axis] += np.where(single, np.clip(0.5 * (high - low) / bend, -0.5, 0.5), 0.0)
    return centres, labels[rows, columns] - 1, heights.astype(np.float64)


def _rectangles(
    labels: np.ndarray,
    points: np.ndarray,
    starts: np.ndarray,
    centres: np.ndarray,
    owners: np.ndarray,
    share: float,
) -> np.ndarray:
    """Grown rectangles along the characters of N texts, (N, 4, 2) in pixels of the map."""
    number = len(starts)
    if not number:
        return np.zeros((0, 4, 2))
    count = np.bincount(owners, minlength=number)
    sizes = np.diff(starts, append=len(points))
    text = np.repeat(np.arange(number), sizes)
    # The axis on which the characters of a text spread most, or the pixels of a single one. What is
    # nearly round, its sides within a tenth, is upright (clovaai/CRAFT-pytorch).
    alone = count <= 1
    angles, _ = _axes(centres, owners, number)
    at = np.flatnonzero(np.append(False, alone)[labels]) if alone.any() else np.zeros(0, int)
    rows, columns = np.divmod(at, labels.shape[1])
    pixels = np.column_stack([columns, rows])
    of_pixels, flatness = _axes(pixels, labels[rows, columns] - 1, number)
    angles = np.where(alone, np.where(flatness > _ROUND, of_pixels, 0.0), angles)
    right = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    axes = np.stack([right, right[:, ::-1] * (-1, 1)], axis=1)  # (number, 2 axes, xy)
    at = np.einsum("pad,pd->pa", axes[text], points.astype(np.float64))
    low, high = np.minimum.reduceat(at, starts), np.maximum.reduceat(at, starts)
    # From pixel centres to borders: across, some character always comes close to them.
    sides = high - low + (1.0, 0.5)
    height = sides[:, 1] / share
    # Of several, some may have no peak: characters are rarely wider than they are high.
    characters = np.where(alone, 1, np.maximum(count, np.rint(sides[:, 0] / height)))
    width = sides[:, 0] * characters / (characters - 1 + share)
    middle = np.einsum("na,nad->nd", 0.5 * (low + high), axes)
    right, down = 0.5 * width[:, None] * axes[:, 0], 0.5 * height[:, None] * axes[:, 1]
    corners = [middle - right - down, middle + right - down]
    corners += [middle + right + down, middle - right + down]
    return np.stack(corners, axis=1)


def _run_ends(labels: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last pixels of the runs along the rows, by their numbers, and where each starts.

    Returns:
        (K, 2) int32 (x, y), and (number,).
    """
    around = np.pad(labels, ((0, 0), (1, 1)))
    ends = (labels > 0) & ((around[:, :-2] != labels) | (around[:, 2:] != labels))
    at = np.flatnonzero(ends)
    owners = labels.ravel()[at]
    order = np.argsort(owners, kind="stable")
    rows, columns = np.divmod(at[order], labels.shape[1])
    starts = np.searchsorted(owners[order], np.arange(1, number + 1))
    return np.column_stack([columns, rows]).astype(np.int32), starts


def _axes(points: np.ndarray, owners: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Axes on which points spread most.

    Args:
        points: (K, 2).
        owners: (K,), what each belongs to, below ``number``.
        number: of the axes.

    Returns:
        Angles (number,) in radians; and the spreads a on the axis and b across it as
        (a - b) / (a + b), (number,).
    """
    count = np.maximum(np.bincount(owners, minlength=number), 1)
    dx, dy = (v - (np.bincount(owners, v, number) / count)[owners] for v in points.T)
    xx, xy, yy = (np.bincount(owners, v, number) for v in (dx * dx, dx * dy, dy * dy))
    flatness = np.hypot(xx - yy, 2 * xy) / np.maximum(xx + yy, 1e-9)
    return 0.5 * np.arctan2(2 * xy, xx - yy), flatness


def _outlines(
    points: np.ndarray,
    starts: np.ndarray,
    centres: np.ndarray,
    owners: np.ndarray,
    large: np.ndarray,
    share: float,
) -> list[tuple[int, np.ndarray]]:
    """Outlines of the texts of at least _CURVED characters, along these.

    Args:
        points, starts: of :func:`_run_ends`.
        centres: (P, 2) of the characters.
        owners: (P,) their texts.
        large: (N,) which texts are outlined, if they have so many characters.
        share: of a character's half that is above the threshold.

    Returns:
        The texts and their outlines, (2 n + 4, 2) in input pixels.
    """
    number = len(starts)
    angles, flatness = _axes(centres, owners, number)
    along = centres[:, 0] * np.cos(angles)[owners] + centres[:, 1] * np.sin(angles)[owners]
    order = np.lexsort((along, owners))
    counts = np.bincount(owners, minlength=number)
    firsts = np.cumsum(counts) - counts
    kept = large & (counts >= _CURVED)
    if not kept.any():
        return []
    bent = kept & (counts <= _LONGEST) & (flatness < _BENT)
    for i in np.flatnonzero(bent)[:_MOST_BENT].tolist():
        own = order[firsts[i] : firsts[i] + counts[i]]
        order[firsts[i] : firsts[i] + counts[i]] = own[_chain(centres[own])]
    # From here on the characters are in order, and those of other texts are left out.
    order = order[kept[owners[order]]]
    texts, counts = np.flatnonzero(kept), counts[kept]
    ends = np.cumsum(counts)
    firsts = ends - counts
    centres = centres[order]
    points = points.astype(np.float64)
    inner, nearest = [], []
    stops = np.append(starts[1:], len(points))
    for a, z, start, stop in zip(
        firsts.tolist(), ends.tolist(), starts[kept].tolist(), stops[kept].tolist()
    ):
        inner.append(points[start:stop])
        nearest.append(a + _nearest(inner[-1], centres[a:z]))
    points, members = np.concatenate(inner), np.concatenate(nearest)
    text = np.repeat(np.arange(len(texts)), counts)
    here = np.arange(len(order))
    before, after = np.maximum(here - 1, firsts[text]), np.minimum(here + 1, ends[text] - 1)
    direction = centres[after] - centres[before]
    direction /= np.maximum(np.linalg.norm(direction, axis=1), 1e-9)[:, None]
    normal = direction[:, ::-1] * (-1, 1)
    offset = points - centres[members]
    # How far a character reaches: back, on, up and down.
    reach = np.zeros((4, len(order)))
    on = (offset * direction[members]).sum(axis=1)
    down = (offset * normal[members]).sum(axis=1)
    for row, values in zip(reach, (-on, on, -down, down)):
        np.maximum.at(row, members, values)
    back, ahead = ((reach[:2] + 0.5) / share)[..., None] * direction
    up, down = ((reach[2:] + 0.25) / share)[..., None] * normal
    # A line through the characters, with one point more at each end.
    heads = firsts + 2 * np.arange(len(texts))
    tails = heads + counts + 1
    text = np.repeat(np.arange(len(texts)), counts + 2)
    at = np.clip(np.arange(len(text)) - 2 * text - 1, firsts[text], ends[text] - 1)
    line = centres[at]
    line[heads] -= back[firsts]
    line[tails] += ahead[ends - 1]
    top, bottom = _to_image(line - up[at]), _to_image(line + down[at])
    return [
        (i, np.concatenate([top[head : tail + 1], bottom[head : tail + 1][::-1]]))
        for i, head, tail in zip(texts.tolist(), heads.tolist(), tails.tolist())
    ]


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The index of the nearest centre (N, 2) of each point (K, 2)."""
    if len(centres) > _LONGEST:
        return cKDTree(centres).query(points)[1]
    # Squared distances less the point's own square.
    return ((centres**2).sum(axis=1) - points @ (2 * centres.T)).argmin(axis=1)


def _chain(centres: np.ndarray) -> list[int]:
    """Order of points along a bent line, each the nearest to the one before, from the first on."""
    apart = ((centres[:, None] - centres) ** 2).sum(axis=2)
    order = [0]
    while len(order) < len(centres):
        apart[:, order[-1]] = np.inf
        order.append(int(apart[order[-1]].argmin()))
    return order
