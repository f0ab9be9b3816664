"""Timings of EAST's label maps, decoding and NMS, compared with a plain implementation.

Run ``python benchmarks/bench_east.py``. Only the ratios of one run mean something.
``--round-trip FOLDER``, the folder of ICDAR2015, decodes perfect maps of its 1000 training images
instead, and names the texts that do not come back.
"""

import math
import sys
from pathlib import Path

import cv2
import numpy as np
import shapely
from drawn_texts import SIZE, random_quads
from early_maps import speckled, untrained
from table import Table, run

from vlpt_d2.modeling.detection.east.decode import decode_east_maps, restore_boxes
from vlpt_d2.modeling.detection.east.labels import draw_east_labels, shrink_quads
from vlpt_d2.modeling.detection.east.nms import locality_aware_nms
from vlpt_d2.structures import TextInstances

TEST_SIZE = (736, 1280)


def labels_by_pixel(quads: list, size=SIZE) -> np.ndarray:
    """Full-size maps by a loop over the pixels of each text, then one of 4 x 4 of them."""
    score, geometry = np.zeros(size, np.uint8), np.zeros((*size, 5), np.float32)
    for quad in quads:
        shrunk = np.zeros(size, np.uint8)
        cv2.fillPoly(shrunk, [shrink_quads(quad[None])[0].astype(np.int32)], 1)
        score |= shrunk
        sides = cv2.boxPoints(cv2.minAreaRect(quad)).tolist()
        ends = [*sides[1:], sides[0]]
        angle = math.atan2(ends[0][1] - sides[0][1], ends[0][0] - sides[0][0])
        for y, x in np.argwhere(shrunk).tolist():
            for k, ((ax, ay), (bx, by)) in enumerate(zip(sides, ends)):
                cross = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
                geometry[y, x, k] = abs(cross) / math.hypot(bx - ax, by - ay)
            geometry[y, x, 4] = angle
    return geometry[::4, ::4]


def restore_one_by_one(cells: np.ndarray, geometry: np.ndarray) -> np.ndarray:
    """Rectangles of cells, a cell at a time."""
    boxes = []
    for cell in cells.tolist():
        row, column = divmod(cell, geometry.shape[2])
        top, right, bottom, left, angle = geometry[:, row, column].tolist()
        turn = np.array([(math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))])
        corners = np.array([(-left, -top), (right, -top), (right, bottom), (-left, bottom)])
        boxes.append(corners @ turn + (4 * column + 2, 4 * row + 2))
    return np.array(boxes)


def greedy_nms(corners: np.ndarray, scores: np.ndarray, thresh: float = 0.2) -> list:
    """Plain NMS of all candidates, without merging, by shapely."""
    order = np.argsort(-scores)
    shapes = shapely.polygons(corners[order])
    areas = shapely.area(shapes)
    alive, kept = np.ones(len(order), bool), []
    for i in range(len(order)):
        if alive[i]:
            kept.append(order[i])
            rest = i + 1 + np.flatnonzero(alive[i + 1 :])
            common = shapely.area(shapely.intersection(shapes[i], shapes[rest]))
            alive[rest[common / (areas[i] + areas[rest] - common) > thresh]] = False
    return kept


def perturbed_maps(rng: np.random.Generator, quads: list) -> tuple[np.ndarray, np.ndarray]:
    """Score and geometry as a trained network predicts them: nearly right."""
    maps = draw_east_labels(TextInstances(quads), TEST_SIZE)
    score = maps["text"] * rng.uniform(0.82, 1, maps["text"].shape).astype(np.float32)
    geometry = maps["geometry"]
    geometry[:4] *= rng.normal(1, 0.08, geometry[:4].shape)
    geometry[4] += rng.normal(0, 0.05, geometry[4].shape)
    return score, geometry


def early_maps(rng: np.random.Generator, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Score and geometry as networks predict them in their first epochs."""
    height, width = TEST_SIZE[0] // 4, TEST_SIZE[1] // 4
    score = rng.uniform(0.4, 1, (height, width))
    spread = {"large, alike": (0.5, 0.0), "small": (0.5, -4.0), "any": (3.0, 0.0)}[kind]
    shares = 1 / (1 + np.exp(-rng.normal(spread[1], spread[0], (4, height, width))))
    angles = rng.normal(0, 0.2, (1, height, width))
    return score.astype(np.float32), np.concatenate([512 * shares, angles]).astype(np.float32)


def print_round_trip(root: Path) -> None:
    """Decode the perfect maps of all training images; print how the texts came back."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from helpers.round_trip import exceptions, icdar2015_texts, round_trip, summary

    outcomes = round_trip(
        icdar2015_texts(root),
        labels=draw_east_labels,
        perfect_maps=lambda maps: (maps["text"].astype(np.float32), maps["geometry"]),
        decode=lambda maps, size: decode_east_maps(*maps),
        labelled=lambda maps: bool(maps["text"].any()),
        rectangles=True,
    )
    print(summary(outcomes))
    for outcome in exceptions(outcomes):
        print("  ", outcome)


def fill(table: Table) -> None:
    """Measure everything."""
    rng = np.random.default_rng(0)
    for count in (20, 100):
        for kind, sides in (("words", (12, 60)), ("large words", (60, 150))):
            quads = random_quads(rng, count, sides=sides)
            name = f"label maps, {count} {kind}, 640 x 640"
            mine, _ = table.compare(
                name,
                lambda q=quads: draw_east_labels(TextInstances(q), SIZE),
                lambda q=quads: labels_by_pixel(q),
            )
            if count == 20:
                table.judge(name, mine, 10)

    quads = random_quads(rng, 105, TEST_SIZE, (20, 60))
    score, geometry = perturbed_maps(rng, quads)
    cells = np.flatnonzero(score > 0.8)
    values = score.ravel()[cells].astype(np.float64)
    table.compare(
        f"restore {len(cells)} rectangles",
        lambda: restore_boxes(cells, geometry),
        lambda: restore_one_by_one(cells, geometry),
    )
    boxes = restore_boxes(cells, geometry)
    table.compare(
        f"NMS, {len(cells)} candidates; plain: greedy, by shapely",
        lambda: locality_aware_nms(boxes, values),
        lambda: greedy_nms(boxes, values),
    )
    name = f"decode {len(cells)} cells"
    mine, _ = table.compare(name, lambda: decode_east_maps(score, geometry))
    table.judge(name, mine, 20)

    for kind in ("large, alike", "small", "any"):
        maps = early_maps(rng, kind)
        for thresh in (0.8, 0.4):
            table.early(
                f"early map, {(maps[0] > thresh).sum()} cells, {kind}",
                lambda t=thresh, maps=maps: decode_east_maps(*maps, score_thresh=t),
            )
        for count in (5_000, 20_000, 50_000):
            specks, number = speckled(rng, maps[0].shape, count, 4)
            table.early(
                f"early map, {number} specks, {kind}",
                lambda specks=specks, maps=maps: decode_east_maps(specks, maps[1]),
            )
    head, maps = untrained("quickstart/east_icdar2015.yaml", TEST_SIZE)
    table.early("maps of random weights", lambda: head.decode(maps, TEST_SIZE))
    head.decoding["score_thresh"] = 0.0
    table.early("the same, every cell", lambda: head.decode(maps, TEST_SIZE))


if __name__ == "__main__":
    run(__doc__, fill, print_round_trip)
