"""SegLink's labels and decoding as the paper tells them, a cell and a link at a time."""

import cmath
import math

import numpy as np
import shapely

STRIDES = (8, 16, 32, 64, 128, 256)


def slow_labels(rectangle, size, level):
    """Segments of one text on one level: {(row, column): (x, y, width, height, radians)}.

    Args:
        rectangle: (4, 2) corners; the first side is along the text.
        size: (H, W) of the image.
        level: index of the stride.
    """
    stride = STRIDES[level]
    side = 1.5 * stride
    rectangle = np.asarray(rectangle, float)
    along = rectangle[1] - rectangle[0]
    theta = math.atan2(along[1], along[0])
    height = float(np.linalg.norm(rectangle[3] - rectangle[0]))
    if max(height / side, side / height) > 1.5:
        return {}
    segments, shape = {}, shapely.Polygon(rectangle)
    turn = np.array([(math.cos(theta), math.sin(theta)), (-math.sin(theta), math.cos(theta))])
    for row in range(-(-size[0] // stride)):
        for column in range(-(-size[1] // stride)):
            point = np.array([column + 0.5, row + 0.5]) * stride
            if not shape.contains(shapely.Point(point)):
                continue
            # Turn the text level about the cell's centre, cut off its ends, turn it back.
            level_box = (rectangle - point) @ turn.T
            start = max(level_box[:, 0].min(), -side / 2)
            end = min(level_box[:, 0].max(), side / 2)
            middle = np.array([(start + end) / 2, level_box[:, 1].mean()]) @ turn + point
            segments[row, column] = (*middle, end - start, height, theta)
    return segments


def decode_one_by_one(maps, segment_thresh=0.9, link_thresh=0.7):
    """Corners (4, 2) and score of each text, by depth-first search and algorithm 1.

    Args:
        maps: see ``decode_seglink_maps``.
        segment_thresh, link_thresh: as there.
    """
    segments, links = {}, {}
    around = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
    for k, (stride, m) in enumerate(zip(STRIDES, maps)):
        side = 1.5 * stride
        for i in range(m.shape[1]):
            for j in range(m.shape[2]):
                if m[0, i, j] <= segment_thresh:
                    continue
                dx, dy, dw, dh, cos, sin = m[1:7, i, j].tolist()
                x, y = (j + 0.5) * stride + side * dx, (i + 0.5) * stride + side * dy
                turn = complex(cos, sin)
                segments[k, i, j] = x, y, side * math.exp(dw), side * math.exp(dh), turn, m[0, i, j]
                ends = [(k, i + y, j + x) for y, x in around]
                if k:
                    ends += [(k - 1, 2 * i + y, 2 * j + x) for y in (0, 1) for x in (0, 1)]
                for value, end in zip(m[7:, i, j], ends, strict=True):
                    if value > link_thresh:
                        links.setdefault((k, i, j), []).append(end)
                        links.setdefault(end, []).append((k, i, j))
    texts, seen = [], set()
    for first in segments:
        if first in seen:
            continue
        group, stack = [], [first]
        seen.add(first)
        while stack:
            here = stack.pop()
            group.append(segments[here])
            for other in links.get(here, ()):
                if other in segments and other not in seen:
                    seen.add(other)
                    stack.append(other)
        texts.append(combine(group))
    return texts


def combine(group):
    """The rectangle of the segments of one text, and their mean probability."""
    theta = cmath.phase(sum(turn for *_, turn, _ in group)) / 2
    ux, uy = math.cos(theta), math.sin(theta)
    offset = sum(-uy * x + ux * y for x, y, *_ in group) / len(group)
    ends = sorted((ux * x + uy * y, w) for x, y, w, *_ in group)
    low = min(at - w / 2 for at, w in ends if at < ends[0][0] + 1e-9)
    high = max(at + w / 2 for at, w in ends if at > ends[-1][0] - 1e-9)
    height = sum(h for *_, h, _, _ in group) / len(group)
    corners = [
        (ux * at - uy * (offset + across), uy * at + ux * (offset + across))
        for at, across in (
            (low, -height / 2), (high, -height / 2), (high, height / 2), (low, height / 2)
        )
    ]  # fmt: skip
    return np.array(corners), sum(score for *_, score in group) / len(group)
