"""From PSENet's kernel maps to text polygons (whai362/PSENet models/head/psenet_head.py)."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from ..decoded import DecodedTexts
from ..regions import choose_regions, outline_regions
from .expansion import expand_kernels


def decode_maps(
    maps: Mapping[str, np.ndarray], image_size: tuple[int, int], *, stride: int, **decoding: Any
) -> DecodedTexts:
    """Decode "kernels", (n, h, w), of an image; see ``TextHead.decode``."""
    height, width = (-(-side // stride) for side in image_size)
    kernels = maps["kernels"][:, :height, :width]
    return decode_kernel_maps(kernels, stride=stride, **decoding)


def decode_kernel_maps(
    probabilities: np.ndarray,
    *,
    stride: int = 1,
    polygon_mode: bool = False,
    kernel_thresh: float = 0.5,
    score_thresh: float = 0.85,
    min_kernel_area: float = 16.0,
    min_area: float = 16.0,
    max_candidates: int = 1000,
    epsilon: float = 0.5,
) -> DecodedTexts:
    """Find the texts of an image's kernel maps.

    The 4-connected components of the smallest kernel grow through the larger ones up to the text
    map; see :func:`expand_kernels`. Their outlines, which run through pixel centres, are moved out
    until they enclose the area of their pixels.

    Args:
        probabilities: (n, H, W) float32 in [0, 1], the text first, the smallest kernel last.
        stride: of the maps, in input pixels.
        polygon_mode: outlines are simplified contours, without holes; otherwise minimum-area
            rectangles.
        kernel_thresh: pixels above it belong to a kernel, if they belong to the text.
        score_thresh: texts with a smaller mean probability (of the first map) are dropped.
        min_kernel_area, min_area: smallest kernels and texts below this many input pixels are
            dropped.
        max_candidates: texts that pass these filters and are outlined, largest first; 0: all.
        epsilon: tolerance of the simplification in ``polygon_mode``, in pixels of the map.
    """
    labels = _label_texts(probabilities, kernel_thresh, min_kernel_area / stride**2)
    kept, scores, counts = choose_regions(
        labels,
        probabilities[0],
        score_thresh=score_thresh,
        min_area=min_area / stride**2,
        max_candidates=max_candidates,
    )
    outlines = outline_regions(labels, kept, polygon_mode=polygon_mode, epsilon=epsilon)
    return DecodedTexts([p * stride for p in outlines], scores, counts)


def _label_texts(
    probabilities: np.ndarray, kernel_thresh: float, min_kernel_area: float
) -> np.ndarray:
    """Number the texts, (H, W) int32; 0 is ground."""
    maps = probabilities > kernel_thresh
    maps[1:] &= maps[0]
    _, labels = cv2.connectedComponents(maps[-1].view(np.uint8), connectivity=4)
    seeds = np.flatnonzero(maps[-1])
    owners = labels.ravel()[seeds]
    keep = np.bincount(owners, minlength=1) >= min_kernel_area
    keep[0] = False
    # The map of a network in its first epochs holds tens of thousands of specks: they are gone
    # before anything grows, and the rest is numbered without gaps.
    labels.ravel()[seeds] = np.where(keep, np.cumsum(keep), 0)[owners]
    return _expand(labels, maps[-2::-1]) if keep.any() else labels


def _expand(labels: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """Return what :func:`expand_kernels` returns, growing only the labels that have a rival.

    A label that is alone in its region of the text map ends up with all of it.

    Args:
        labels: (H, W) int32, each 4-connected.
        kernels: (n - 1, H, W) bool, smallest first; the last, the text map, contains all others
            and the labels.
    """
    count, regions = cv2.connectedComponents(kernels[-1].view(np.uint8), connectivity=4)
    pixels = np.flatnonzero(labels)
    owners = np.zeros(labels.max() + 1, np.int64)
    owners[labels.ravel()[pixels]] = regions.ravel()[pixels]
    rivals = np.bincount(owners[1:], minlength=count)
    alone = np.zeros(count, np.int32)
    alone[owners[1:]] = np.arange(1, len(owners))
    alone[rivals != 1] = 0
    grown = np.maximum(labels, alone[regions])
    return expand_kernels(grown, kernels) if (rivals > 1).any() else grown
