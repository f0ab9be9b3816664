"""SAE's losses and clustering a pixel and a pair of texts at a time, as the paper words them."""

import math
from collections import deque

import numpy as np


def losses_by_text(embedding: np.ndarray, number: np.ndarray) -> tuple[float, float]:
    """The two terms of the shape-aware loss of one image (C, H, W), numbers (H, W)."""
    diagonal = math.hypot(*number.shape)
    texts = [n for n in np.unique(number).tolist() if n]
    means, boxes, pull = {}, {}, 0.0
    for n in texts:
        rows, columns = np.nonzero(number == n)
        pixels = embedding[:, rows, columns].T
        means[n] = pixels.mean(axis=0)
        boxes[n] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        x0, y0, x1, y1 = boxes[n]
        scale = math.exp(math.hypot(x1 - x0, y1 - y0) / (2 * diagonal))
        terms = [max(scale * np.linalg.norm(p - means[n]) - 0.5, 0) ** 2 for p in pixels]
        pull += sum(terms) / len(terms) / len(texts)
    push = []
    for a in texts:
        for b in texts:
            if a != b:
                (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = boxes[a], boxes[b]
                gap = math.hypot((ax0 + ax1 - bx0 - bx1) / 2, (ay0 + ay1 - by0 - by1) / 2)
                scale = 1 - 20 * math.exp(-4 - 5 * gap / diagonal)
                push.append(max(1.5 - scale * np.linalg.norm(means[a] - means[b]), 0) ** 2)
    return pull, sum(push) / max(len(push), 1)


def components(mask: np.ndarray) -> np.ndarray:
    """Numbers of the 4-connected components, from 1 in the order of their first pixels."""
    labels, count = np.zeros(mask.shape, np.int32), 0
    for seed in map(tuple, np.argwhere(mask).tolist()):
        if labels[seed]:
            continue
        count += 1
        labels[seed], queue = count, deque([seed])
        while queue:
            row, column = queue.popleft()
            for to in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                inside = 0 <= to[0] < mask.shape[0] and 0 <= to[1] < mask.shape[1]
                if inside and mask[to] and not labels[to]:
                    labels[to] = count
                    queue.append(to)
    return labels


def assign_by_pixel(text, centre, embedding, min_centre=0):
    """What ``assign_pixels`` returns."""
    labels, regions = components(centre), components(text)
    for n in range(1, labels.max() + 1):
        if (labels == n).sum() < min_centre:
            labels[labels == n] = 0
    centre = labels > 0
    labels = components(centre)
    means, homes = {}, {}
    for n in range(1, labels.max() + 1):
        rows, columns = np.nonzero(labels == n)
        means[n] = embedding[:, rows, columns].mean(axis=1)
        homes.setdefault(regions[rows[0], columns[0]], []).append(n)
    for row, column in np.argwhere(text & ~centre).tolist():
        distances = {
            n: np.linalg.norm(embedding[:, row, column] - means[n])
            for n in homes.get(regions[row, column], ())
        }
        if distances and min(distances.values()) <= 1:
            labels[row, column] = min(distances, key=distances.get)
    return labels
