"""Progressive scale expansion: kernels grow into texts without growing together."""

from collections.abc import Sequence

import cv2
import numpy as np

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def expand_kernels(labels: np.ndarray, kernels: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
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
    taken = padded != 0
    free = np.zeros(padded.shape, bool)
    flat_labels, flat_taken, flat_free = padded.ravel(), taken.ravel(), free.ravel()
    turns = np.arange(padded.size, dtype=np.int32)
    order = np.empty(padded.size, np.int32)
    steps = np.array([-(width + 2), width + 2, -1, 1])

    for kernel in kernels:
        # Of the map, what is not taken.
        np.greater(np.asarray(kernel, bool), taken[1:-1, 1:-1], out=free[1:-1, 1:-1])
        # Labelled pixels next to none that is free do nothing when their turn comes.
        near_free = cv2.dilate(free.view(np.uint8), _CROSS).view(bool)
        front = np.flatnonzero(np.logical_and(near_free, taken, out=near_free))
        while front.size:
            reached = (front[:, None] + steps).ravel()
            sources = np.flatnonzero(flat_free[reached])
            reached = reached[sources]
            # On repeated indices the last assignment stays, so backwards the first one does.
            turn = turns[: reached.size]
            order[reached[::-1]] = turn[::-1]
            first = np.flatnonzero(order[reached] == turn)
            reached = reached[first]
            flat_labels[reached] = flat_labels[front[sources[first] >> 2]]
            flat_free[reached] = False
            flat_taken[reached] = True
            front = reached
    return padded[1:-1, 1:-1].copy()
