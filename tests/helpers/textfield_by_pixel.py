"""TextField's labels and grouping pixel by pixel, as the paper words them."""

import math
from collections import deque

import numpy as np
import shapely

from vlpt_d2.structures import TextInstances

_STEPS = [(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)]
_AROUND = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]


def labels_by_pixel(texts: TextInstances, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """What ``draw_textfield_labels`` draws, each cell asking shapely for its nearest border."""
    shape = -(-size[0] // 2), -(-size[1] // 2)
    direction, mask = np.zeros((2, *shape)), np.ones(shape, np.uint8)
    owners = np.full(shape, -1)
    shapes = [shapely.Polygon(np.float32(p).astype(float)) for p in texts.polygons]
    for i in sorted(range(len(shapes)), key=lambda i: -shapes[i].area):
        for row, column in np.ndindex(shape):
            centre = shapely.Point(2 * column + 1, 2 * row + 1)
            if not shapes[i].contains(centre):
                continue
            if texts.ignore[i]:
                mask[row, column] = 0
                continue
            line = shapely.shortest_line(shapes[i].exterior, centre)
            vector = np.subtract(*line.coords[::-1])
            direction[:, row, column] = vector / np.hypot(*vector)
            owners[row, column] = i
    seen = [(owners == i) & (mask == 1) for i in range(len(shapes))]
    areas = [cells.sum() for cells in seen if cells.any()]
    weight = np.zeros(shape)
    for cells in seen:
        if cells.any():
            weight[cells] = np.mean(areas) / cells.sum()
    return {"direction": direction, "text_weight": weight, "text_mask": mask}


def group_by_pixel(field: np.ndarray, text: np.ndarray, stride: int = 1) -> np.ndarray:
    """What ``group_pixels`` returns, by walking every path and searching breadth first."""
    height, width = text.shape
    pixels = [tuple(p) for p in np.argwhere(text).tolist()]
    number, parent = {}, {}
    for row, column in pixels:
        angle = math.atan2(field[1, row, column], field[0, row, column])
        number[row, column] = k = round(angle / (math.pi / 4)) % 8
        to = row + _STEPS[k][0], column + _STEPS[k][1]
        on_map = 0 <= to[0] < height and 0 <= to[1] < width
        inside = on_map and text[to]
        here, there = field[:, row, column], field[:, to[0], to[1]] if inside else None
        if inside and here @ there < -0.5 * np.linalg.norm(here) * np.linalg.norm(there):
            inside = False
        parent[row, column] = to if inside else None
    end, endings = {}, set()
    for pixel in pixels:
        path, places = [pixel], {pixel: 0}
        while (to := parent[path[-1]]) is not None and to not in places:
            places[to] = len(path)
            path.append(to)
        if to is None:
            end[pixel] = path[-1]
            endings.add(path[-1])
        else:
            start = places[to]
            endings.update(path[start:])
            end[pixel] = path[start + (1024 - start) % (len(path) - start)]
    depth = dict.fromkeys(endings, 0)
    for (row, column), last in end.items():
        depth[last] = max(depth[last], abs(row - last[0]), abs(column - last[1]))

    marked = set()
    for (row, column), steps in depth.items():
        marked.update((row + a, column + b) for a, b in _AROUND)
        a, b = _STEPS[number[row, column]]
        reach = min(steps - 16 // stride, 12 // stride)
        marked.update((row + n * a, column + n * b) for n in range(1, reach + 1))
    marked = {(r, c) for r, c in marked if 0 <= r < height and 0 <= c < width}
    group, count = {}, 0
    for seed in sorted(marked):
        if seed in group:
            continue
        count += 1
        group[seed], queue = count, deque([seed])
        while queue:
            row, column = queue.popleft()
            for a, b in _AROUND:
                to = row + a, column + b
                if to in marked and to not in group:
                    group[to] = count
                    queue.append(to)
    facing = [[] for _ in range(count + 1)]
    for row, column in endings:
        vector = field[:, row, column].astype(float)
        facing[group[row, column]].append(vector / np.linalg.norm(vector))
    labels, names = np.zeros(text.shape, np.int32), {}
    for g in range(1, count + 1):
        if np.linalg.norm(np.mean(facing[g], axis=0)) <= 0.6:
            names[g] = len(names) + 1
    for pixel, last in end.items():
        labels[pixel] = names.get(group[last], 0)
    return labels
