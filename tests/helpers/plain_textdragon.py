"""TextDragon's decoding box by box: one list of Python objects, one cell after the other."""

from collections import deque

import numpy as np

from vlpt_d2.modeling.detection.textdragon.decode import STRIDE


def plain_dragons(score, geometry, centre_thresh=0.5, score_thresh=0.7):
    """The two sides (2, n, 2) of each text in input pixels, and its mean score."""
    cells = [(y, x) for y, x in np.argwhere(score > centre_thresh)]
    boxes = {cell: geometry[:, cell[0], cell[1]].astype(float) for cell in cells}
    seen, texts, scores = set(), [], []
    for first in cells:
        if first in seen:
            continue
        seen.add(first)
        position, queue = {first: 0.0}, deque([first])
        while queue:
            y, x = queue.popleft()
            for step in ((0, 1), (1, -1), (1, 0), (1, 1), (0, -1), (-1, 1), (-1, 0), (-1, -1)):
                near = (y + step[0], x + step[1])
                if near in boxes and near not in seen and _agree(boxes[y, x], boxes[near], step):
                    seen.add(near)
                    way = 0.5 * (boxes[y, x][4:] + boxes[near][4:])
                    position[near] = position[y, x] + STRIDE * (way @ (step[1], step[0]))
                    queue.append(near)
        mean = np.mean([score[cell] for cell in position])
        if mean >= score_thresh:
            texts.append(_sides(position, boxes))
            scores.append(mean)
    return texts, scores


def _agree(one, other, step):
    height = min(one[0] + one[2], other[0] + other[2])
    for a, b, sign in ((one, other, 1), (other, one, -1)):
        way = sign * STRIDE * np.array((step[1], step[0]))
        along, across = way @ a[4:], way @ (-a[5], a[4])
        middle = 0.5 * (b[2] - b[0]) * (a[4:] @ b[4:]) - 0.5 * (a[2] - a[0])
        if abs(across + middle) > 0.5 * height:
            return False
        own, others = (a[1], b[1]) if along > 0 else (a[3], b[3])
        if own < min(abs(along) + others, a[0] + a[2]) - 0.5 * height:
            return False
    return True


def _sides(position, boxes):
    ends = min(position.values()), max(position.values())
    step = max(0.25 * np.mean([boxes[cell][0] + boxes[cell][2] for cell in position]), STRIDE)
    count = max(1, round((ends[1] - ends[0]) / step))
    stretches = [[] for _ in range(count)]
    for (y, x), at in position.items():
        top, right, bottom, left, cos, sin = boxes[y, x]
        point, way = STRIDE * np.array((x + 0.5, y + 0.5)), np.array((cos, sin))
        down = np.array((-sin, cos))
        row = (*(point - top * down), *(point + bottom * down), *way, right, left)
        share = (at - ends[0]) / max(ends[1] - ends[0], 1e-9)
        stretches[min(int(share * count), count - 1)].append(row)
    rows = [np.mean(rows, axis=0) for rows in stretches if rows]
    pairs = [row[:4] for row in rows]
    head = pairs[0] - rows[0][7] * np.tile(rows[0][4:6], 2)
    tail = pairs[-1] + rows[-1][6] * np.tile(rows[-1][4:6], 2)
    return np.array([head, *pairs, tail]).reshape(-1, 2, 2).transpose(1, 0, 2)
