"""GNNets' decoding against EAST's restored boxes one by one and greedy NMS, and by hand."""

import numpy as np
import pytest
import shapely
from helpers.polygons import unpacked
from helpers.round_trip import rendered_curved_texts
from helpers.shipped_detectors import Setting

from vlpt_d2.engine import load_config
from vlpt_d2.modeling.detection.gnnets.decode import decode_gnnets_maps, decode_maps


def empty(size=(20, 30)):
    """Scores and geometry of both sizes, without text; rectangles of 12 x 12."""
    levels = []
    for factor in (1, 2):
        shape = tuple(-(-side // factor) for side in size)
        geometry = np.zeros((4, 5, *shape), np.float32)
        geometry[:, :4] = 6 if factor == 1 else 20
        levels.append((np.zeros((4, *shape), np.float32), geometry.reshape(20, *shape)))
    return levels


def put(levels, stride, branch, row, column, geometry, score=0.9):
    scores, numbers = levels[stride == 8]
    scores[branch, row, column] = score
    numbers[5 * branch : 5 * branch + 5, row, column] = geometry


def test_boxes_of_both_sizes_by_hand():
    levels = empty()
    put(levels, 4, 1, 5, 10, (10, 30, 10, 20, 0))  # at (42, 22)
    put(levels, 4, 1, 5, 11, (10, 26, 10, 24, 0))
    put(levels, 8, 2, 6, 3, (10, 14, 20, 12, -np.pi / 2), 0.95)  # at (14, 26) of the half size
    polygons, scores = unpacked(decode_gnnets_maps(levels, box_thresh=0.0))
    # The second: up is to the left, so top is at x = 4 and bottom at 34, the right at y = 12.
    wanted = [[(8, 76), (8, 24), (68, 24), (68, 76)], [(22, 12), (72, 12), (72, 32), (22, 32)]]
    order = np.argsort([p[0, 0] for p in polygons])
    np.testing.assert_allclose(np.array(polygons)[order], wanted, atol=1e-3)
    assert polygons[0].dtype == scores.dtype == np.float32 and (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("side, found", [(47, [4]), (49, []), (30, []), (34, [8]), (40, [4, 8])])
def test_a_branch_finds_the_sizes_of_its_range(side, found):
    """47 and 49 at full size, where 48 is the limit, 30 and 34 at half size: 33.3."""
    for stride in (4, 8):
        if side != 40 and (side > 40) != (stride == 4):
            continue
        levels = empty()
        half = side / 2 * 4 / stride
        scores, _ = levels[stride == 8]
        scores[0, 2:9, 4:11] = 0.9
        levels[stride == 8][1][:5, 2:9, 4:11] = np.array([half, 100, half, 50, 0])[:, None, None]
        polygons = decode_gnnets_maps(levels).polygons
        assert bool(polygons) == (stride in found)


def test_the_best_of_several_branches_remains():
    levels = empty()
    for stride, branch, score in ((4, 0, 0.85), (4, 1, 0.9), (8, 0, 0.95)):
        n = 2 if stride == 4 else 1
        for row, column in np.ndindex(2 * n, 4 * n):
            x, y = (column + 0.5) * stride, (row + 0.5) * stride
            sides = np.array([10 + y, 70 - x, 30 - y, 10 + x]) * 4 / stride
            put(levels, stride, branch, row, column, (*sides, 0), score)
    polygons, scores = unpacked(decode_gnnets_maps(levels, box_thresh=0.0))
    assert len(polygons) == 1 and scores[0] <= 0.95
    np.testing.assert_allclose(polygons[0], [(-10, -10), (70, -10), (70, 30), (-10, 30)], atol=1e-3)
    levels[1][0][:] = 0
    assert len(decode_gnnets_maps(levels, box_thresh=0.0).polygons) == 1


def test_what_remains_of_all_branches():
    """Of single cells far from each other, so that no branch merges any; the branches overlap."""
    rng = np.random.default_rng(0)
    levels, boxes = empty((60, 60)), []
    for stride in (4, 8):
        for branch, i, j in np.ndindex(4, 3, 3):
            row, column = 2 + 80 // stride * np.array([i, j])
            sides, angle = rng.uniform(9, 12, 4), rng.uniform(-1.5, 1.5)
            put(levels, stride, branch, row, column, (*sides, angle), rng.uniform(0.81, 1))
            top, right, bottom, left = sides * stride / 4
            turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
            corners = np.array([(-left, -top), (right, -top), (right, bottom), (-left, bottom)])
            boxes.append(corners @ turn + (np.array([column, row]) + 0.5) * stride)
    found = shapely.polygons(decode_gnnets_maps(levels, box_thresh=0.0).polygons)
    boxes = shapely.polygons(boxes)

    def ious(first, second):
        common = shapely.area(shapely.intersection(first[:, None], second))
        return common / (shapely.area(first)[:, None] + shapely.area(second) - common)

    assert 9 <= len(found) < len(boxes) == 72
    # Each is one of the boxes, no two overlap, and every box overlaps one of them.
    assert (ious(found, boxes).max(axis=1) > 0.999).all()
    assert (ious(found, found) - np.eye(len(found))).max() <= 0.2 + 1e-6
    assert ious(found, boxes).max(axis=0).min() > 0.2


def test_branches_share_the_limits():
    """One with few cells leaves the others what it spares."""
    levels = empty((40, 40))
    levels[0][0][0, ::4, ::4] = 0.9  # 100 single cells
    levels[0][0][1, 2::4, 2::4] = 0.9  # 100
    levels[0][0][2, 0, 2::8] = 0.9  # 5
    found = decode_gnnets_maps(levels, max_cells=65, box_thresh=0.0)
    counts = found.counts
    assert counts["cells"] == 205 and counts["dropped_cells"] == 2 * 70 and counts["boxes"] == 65
    assert len(found.polygons) == counts["candidates"] > 20
    more = decode_gnnets_maps(levels, max_cells=0, max_boxes=65, box_thresh=0.0).counts
    assert more["dropped_cells"] == 0 and more["dropped_boxes"] == 2 * 70
    free = decode_gnnets_maps(levels, max_cells=0, max_boxes=0, box_thresh=0.0).counts
    assert free["boxes"] == 205 and free["dropped_boxes"] == 0


def test_nothing_and_padding():
    assert decode_gnnets_maps(empty()).polygons == []
    levels = empty((24, 32))
    for stride, (scores, _) in zip((4, 8), levels):
        scores[:, -(-61 // stride) :] = 1
        scores[:, :, -(-93 // stride) :] = 1
    maps = {
        f"{name}_{s}": m
        for s, pair in zip((4, 8), levels)
        for name, m in zip(("score", "geometry"), pair)
    }
    found = decode_maps(maps, (61, 93))
    assert found.polygons == [] and found.counts["cells"] == 0


def test_rendered_curved_words_come_back():
    """benchmarks/bench_gnnets.py has all photographs of ICDAR2015, too."""
    setting = Setting(load_config("detection/icdar2015/gnnets_R_50.yaml"))
    outcomes = setting.outcomes(rendered_curved_texts(4), 0.8, resized=False)
    large = [o for o in outcomes if o.short_side >= 12]
    assert len(large) > 10
    assert np.mean([o.iou for o in large]) > 0.95 and all(o.iou > 0.8 for o in large)
