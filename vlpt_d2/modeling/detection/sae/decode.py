"""From SAE's maps to text polygons (Tian et al., CVPR 2019, section 3.5)."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from ..decoded import DecodedTexts
from ..regions import choose_regions, outline_regions

# Input pixels from one cell of the maps to the next.
STRIDE = 2
# The largest distance of a pixel to the mean embedding of the text it is given to.
_MAX_DISTANCE = 1.0
# The smallest centre, in input pixels: that of a text of the least area has more.
_MIN_CENTRE = 16
# Pixels that are looked at together: larger arrays leave the cache.
_BLOCK = 2048
# Pairs of a pixel and a centre that are looked at in one image: 50 centres in every component if
# 30,000 pixels lie in components with several.
_MAX_PAIRS = 1_500_000


def decode_maps(
    maps: Mapping[str, np.ndarray], image_size: tuple[int, int], **decoding: Any
) -> DecodedTexts:
    """Decode "text" and "centre" (1, h, w) and "embedding" (8, h, w); see ``TextHead.decode``."""
    height, width = (-(-side // STRIDE) for side in image_size)
    text, centre = (maps[name][0, :height, :width] for name in ("text", "centre"))
    embedding = maps["embedding"][:, :height, :width]
    return decode_sae_maps(text, centre, embedding, stride=STRIDE, **decoding)


def decode_sae_maps(
    text: np.ndarray,
    centre: np.ndarray,
    embedding: np.ndarray,
    *,
    stride: int = 1,
    polygon_mode: bool = False,
    text_thresh: float = 0.5,
    score_thresh: float = 0.0,
    min_area: float = 50.0,
    max_candidates: int = 1000,
) -> DecodedTexts:
    """Find the texts of an image's maps: the groups of :func:`assign_pixels`, outlined.

    Args:
        text, centre: (H, W) float32 in [0, 1].
        embedding: (C, H, W) float32.
        stride: of the maps, in input pixels.
        polygon_mode: outlines are simplified contours, without holes; otherwise minimum-area
            rectangles.
        text_thresh: pixels above it are text or, if they are, centre.
        score_thresh: texts with a smaller mean probability are dropped.
        min_area: texts below this many input pixels are dropped.
        max_candidates: texts that pass these filters and are outlined, largest first; 0: all.
    """
    is_text = text > text_thresh
    labels = assign_pixels(
        is_text, (centre > text_thresh) & is_text, embedding, _MIN_CENTRE / stride**2
    )
    kept, scores, counts = choose_regions(
        labels,
        text,
        score_thresh=score_thresh,
        min_area=min_area / stride**2,
        max_candidates=max_candidates,
    )
    outlines = outline_regions(labels, kept, polygon_mode=polygon_mode)
    return DecodedTexts([outline * stride for outline in outlines], scores, counts)


def assign_pixels(
    text: np.ndarray, centre: np.ndarray, embedding: np.ndarray, min_centre: float = 0.0
) -> np.ndarray:
    """Give the pixels of texts to their centres.

    The 4-connected components of the centres that are large enough are the texts. Each other text
    pixel goes to the one with the nearest mean embedding among those in its own 4-connected
    component of the text map, if that is not farther than 1. Where the map has more pairs of a
    pixel and a centre than can be looked at, the smaller centres of a component stay as they are.

    Args:
        text: (H, W) bool.
        centre: (H, W) bool, within the text.
        embedding: (C, H, W) float32.
        min_centre: in pixels.

    Returns:
        (H, W) int32, the number of each pixel's text, from 1 without gaps; 0 is none.
    """
    seeds = np.flatnonzero(centre)
    owners = cv2.connectedComponents(centre.view(np.uint8), connectivity=4)[1].ravel()[seeds]
    keep = np.bincount(owners, minlength=1) >= min_centre
    keep[0] = False
    owners = np.where(keep, np.cumsum(keep), 0)[owners]
    seeds, owners = seeds[owners > 0], owners[owners > 0]
    labels = np.zeros(text.shape, np.int32)
    flat_labels = labels.ravel()
    flat_labels[seeds] = owners
    if not seeds.size:
        return labels
    components, regions = cv2.connectedComponents(text.view(np.uint8), connectivity=4)
    regions = regions.ravel()
    vectors = embedding.reshape(len(embedding), -1)
    sizes = np.bincount(owners)
    means = np.array([np.bincount(owners, channel[seeds]) for channel in vectors])
    means = (means / np.maximum(sizes, 1)).astype(np.float32)
    region_of = np.zeros(len(sizes), np.int32)
    region_of[owners] = regions[seeds]
    rivals = np.bincount(region_of[1:], minlength=components)

    def give(pixels: np.ndarray, owner: np.ndarray, points: np.ndarray) -> None:
        """Give pixels to those of these texts that are near enough."""
        apart = points - means.take(owner, axis=1)
        near = np.einsum("ij,ij->j", apart, apart) <= _MAX_DISTANCE**2
        flat_labels[pixels[near]] = owner[near]

    free = np.flatnonzero(text & (labels == 0))
    places = regions[free]
    numbers = rivals[places]
    # Most texts are alone in their component: all of it is compared with one mean.
    only = np.zeros(components, np.int32)
    only[region_of] = np.arange(len(sizes))
    alone = np.flatnonzero(numbers == 1)
    for begin in range(0, len(alone), _BLOCK):
        block = alone[begin : begin + _BLOCK]
        give(free[block], only[places[block]], vectors.take(free[block], axis=1))

    # The other pixels and the centres, the largest first, by component.
    contested = np.flatnonzero(numbers > 1)
    contested = contested[np.argsort(places[contested], kind="stable")]
    pixels, places = free[contested], places[contested]
    order = np.lexsort((-sizes, region_of))
    first = np.searchsorted(region_of[order], np.arange(components + 1)).tolist()
    limit = max(1, _MAX_PAIRS // max(1, len(pixels)))
    cuts = np.append(np.flatnonzero(np.diff(places)) + 1, np.arange(0, len(pixels), _BLOCK))
    cuts = np.unique(cuts)
    for begin, end, place in zip(cuts.tolist(), [*cuts[1:].tolist(), None], places[cuts].tolist()):
        candidates = order[first[place] : first[place + 1]][:limit]
        points = vectors.take(pixels[begin:end], axis=1)
        # Squared distances less the pixel's own square.
        mean = means[:, candidates]
        scores = (-2.0 * mean.T) @ points
        scores += np.einsum("ij,ij->j", mean, mean)[:, None]
        give(pixels[begin:end], candidates[scores.argmin(axis=0)], points)
    return labels
