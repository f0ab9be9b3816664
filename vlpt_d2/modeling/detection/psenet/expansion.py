"""Progressive scale expansion: kernels grow into texts without growing together."""

from collections.abc import Sequence

import cv2
import numpy as np

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def expand_kernels(labels: np.ndarray, kernels: Sequence[np.ndarray]) -> np.ndarray:
    """Grow labelled kernels through larger and larger maps, breadth first (PSENet algorithm 1).

    For each map in turn, all labelled pixels enter a first-in-first-out queue in raster order. Each
    pixel that leaves it gives its label to those of its upper, lower, left and right neighbours, in
    this order, that belong to the map and have no label yet, and these enter the queue. So a pixel
    between two texts goes to the one that reaches it in fewer steps, and on a tie to the one that
    asked first.

    The queue is worked off a wavefront at a time: the neighbours of a whole wavefront are listed in
    the queue's order and the first mention of each pixel counts, which is the same result.

    Args:
        labels: (H, W) integers, 0 where there is no kernel; kept as they are, also outside the
            maps.
        kernels: (H, W) bool or 0/1 maps to grow through, smallest first; they need not be nested.

    Returns:
        (H, W) int32.
    """
    height, width = labels.shape
    # A border of one pixel that belongs to no map keeps neighbours from wrapping around.
    padded = np.zeros((height + 2, width + 2), np.int32)
    padded[1:-1, 1:-1] = labels
    free = np.zeros(padded.shape, np.uint8)
    flat_labels, flat_free = padded.ravel(), free.ravel().view(bool)
    order = np.empty(padded.size, np.int32)
    steps = np.array([-(width + 2), width + 2, -1, 1], np.int32)

    for kernel in kernels:
        unlabelled = padded[1:-1, 1:-1] == 0
        np.logical_and(kernel, unlabelled, out=free[1:-1, 1:-1], casting="unsafe")
        # Labelled pixels next to none that is free do nothing when their turn comes.
        front = np.flatnonzero((cv2.dilate(free, _CROSS) > 0) & (padded > 0)).astype(np.int32)
        while front.size:
            reached = (front[:, None] + steps).ravel()
            sources = np.flatnonzero(flat_free[reached])
            reached = reached[sources]
            # On repeated indices the last assignment stays, so backwards the first one does.
            turn = np.arange(reached.size, dtype=np.int32)
            order[reached[::-1]] = turn[::-1]
            first = order[reached] == turn
            reached = reached[first]
            flat_labels[reached] = flat_labels[front[sources[first] >> 2]]
            flat_free[reached] = False
            front = reached
    return padded[1:-1, 1:-1].copy()
