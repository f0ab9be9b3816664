"""EAST's decoding: restoration, scores, limits, and texts that come back as they were."""

import math

import cv2
import numpy as np
import pytest
import shapely
from helpers.polygons import unpacked
from helpers.round_trip import (
    exceptions,
    icdar2015_texts,
    rendered_curved_texts,
    round_trip,
    summary,
)
from helpers.sequential_merge import merge_sequentially

from vlpt_d2.modeling.detection.east.decode import _in_turns, decode_east_maps, restore_boxes
from vlpt_d2.modeling.detection.east.labels import draw_east_labels
from vlpt_d2.structures import TextInstances


def slow_restore(row, column, geometry):
    """A cell at a time, by rotating the corners of the upright rectangle about the cell."""
    top, right, bottom, left, angle = geometry.astype(float)
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = 4 * column + 2, 4 * row + 2
    return [
        (x + cos * a - sin * b, y + sin * a + cos * b)
        for a, b in ((-left, -top), (right, -top), (right, bottom), (-left, bottom))
    ]


def perfect(polygons, size=(160, 240), value=1.0, **labels):
    maps = draw_east_labels(TextInstances(polygons), size, **labels)
    return maps["text"].astype(np.float32) * np.float32(value), maps["geometry"]


def iou(a, b):
    a, b = shapely.Polygon(a), shapely.Polygon(b)
    return a.intersection(b).area / a.union(b).area


def test_restoration_equals_the_slow_loop():
    rng = np.random.default_rng(0)
    geometry = rng.uniform(0, 90, (5, 12, 17)).astype(np.float32)
    geometry[4] = rng.uniform(-1.5, 1.5, (12, 17))
    cells = np.sort(rng.choice(12 * 17, 80, replace=False))
    expected = [slow_restore(c // 17, c % 17, geometry[:, c // 17, c % 17]) for c in cells]
    np.testing.assert_allclose(restore_boxes(cells, geometry), expected, atol=1e-9)


@pytest.mark.parametrize("angle_range", [45, 90])
@pytest.mark.parametrize("degrees", [0, 20, 45, 77, 90, 135, 200, 315])
def test_a_perfect_map_gives_the_exact_rectangle(degrees, angle_range):
    box = cv2.boxPoints(((120.3, 80.7), (90.0, 31.0), degrees))
    polygons, scores = unpacked(decode_east_maps(*perfect([box], angle_range=angle_range)))
    assert len(polygons) == 1 and polygons[0].shape == (4, 2) and polygons[0].dtype == np.float32
    assert np.linalg.norm(polygons[0][:, None] - box[None], axis=2).min(axis=1).max() < 1e-2
    assert scores.dtype == np.float32 and 0.8 < scores[0] <= 1
    # Clockwise on screen, from the corner that is the top left along the angle.
    first, second = polygons[0][1] - polygons[0][0], polygons[0][2] - polygons[0][1]
    assert first[0] * second[1] - first[1] * second[0] > 0
    assert abs(math.degrees(math.atan2(first[1], first[0]))) <= angle_range + 0.1


def test_one_pixel_text_comes_back():
    box = cv2.boxPoints(((50.2, 42.4), (11.0, 10.5), 45.0))
    score, geometry = perfect([box], (80, 96))
    assert score.sum() == 1
    polygons = decode_east_maps(score, geometry).polygons
    assert len(polygons) == 1 and iou(polygons[0], box) > 0.999


def test_scores_of_the_core_by_hand():
    # 9.6 px from the sides, the core is 28.8 .. 115.2 x 41.6 .. 54.4, and text fills the cells with
    # a centre in it: columns 7 to 28, rows 10 to 13.
    box = np.float32([(19.2, 32), (124.8, 32), (124.8, 64), (19.2, 64)])
    score, geometry = perfect([box], (96, 160), 0.9)
    assert score.sum() == pytest.approx(0.9 * 22 * 4)
    (core,) = decode_east_maps(score, geometry).scores
    # The eight rows of points, from 42.4 to 53.6, all lie within them.
    assert core == pytest.approx(0.9)
    score[:, 20:] = 0
    (half,) = decode_east_maps(score, geometry).scores
    assert 0.4 < half < 0.65


def test_core_outside_the_map_does_not_count():
    score, geometry = perfect([cv2.boxPoints(((60, 40), (80, 30), 0))], (80, 120))
    full = decode_east_maps(score, geometry).scores
    shifted = np.roll(score, -10, axis=1), np.roll(geometry, -10, axis=2)
    cut = decode_east_maps(shifted[0] * (np.arange(30) < 20), shifted[1]).scores
    assert cut[0] == pytest.approx(full[0], abs=0.1)


def test_thresholds_alone():
    boxes = [cv2.boxPoints(((60, 40), (80, 30), 0)), cv2.boxPoints(((60, 120), (80, 30), 0))]
    score, geometry = perfect(boxes)
    score[:20] *= 0.7
    assert len(decode_east_maps(score, geometry, score_thresh=0.8).polygons) == 1
    polygons, scores = unpacked(decode_east_maps(score, geometry, score_thresh=0.6))
    assert len(polygons) == 2
    between = float(scores.mean())
    assert scores.min() < between < scores.max()
    assert (
        len(decode_east_maps(score, geometry, score_thresh=0.6, box_thresh=between).polygons) == 1
    )
    # Half their length apart, the two rectangles have an IoU of 1/3.
    shifted = [boxes[0], boxes[0] + np.float32((40, 0))]
    maps = perfect(shifted)
    assert len(decode_east_maps(*maps, nms_thresh=0.4).polygons) == 2
    assert len(decode_east_maps(*maps, nms_thresh=0.2).polygons) == 1


def test_limits_are_shared_by_regions_and_counted():
    """A sign with many sure cells, and a word with few that are less sure."""
    boxes = [cv2.boxPoints(((100, 60), (180, 80), 0)), cv2.boxPoints(((60, 140), (60, 20), 0))]
    score, geometry = perfect(boxes, size=(200, 240))
    score[28:] *= 0.9
    cells, small = int((score > 0.8).sum()), int((score[28:] > 0.8).sum())
    assert small < cells / 10
    found = decode_east_maps(score, geometry, max_cells=3 * small)
    polygons, counts = found.polygons, found.counts
    assert len(polygons) == 2
    assert counts["cells"] == cells and counts["dropped_cells"] == cells - 3 * small
    assert counts["boxes"] >= 2 and not counts["dropped_boxes"]
    found = decode_east_maps(score, geometry, max_cells=0)
    assert len(found.polygons) == 2
    assert found.counts["cells"] == cells and not found.counts["dropped_cells"]
    found = decode_east_maps(score, geometry, max_boxes=1)
    assert len(found.polygons) == 1
    assert found.counts["dropped_boxes"] == found.counts["boxes"] - 1 >= 1


def test_regions_take_turns_as_in_a_loop():
    rng = np.random.default_rng(3)
    score = (rng.random((12, 15)) * (rng.random((12, 15)) > 0.4)).astype(np.float32)
    cells = np.flatnonzero(score > 0.1)
    regions = cv2.connectedComponents((score > 0.1).astype(np.uint8), connectivity=4)[1].ravel()
    queues = [
        sorted((c for c in cells if regions[c] == r), key=lambda c: -score.ravel()[c])
        for r in range(1, regions.max() + 1)
    ]
    taken = []
    while any(queues):
        turn = [queue.pop(0) for queue in queues if queue]
        taken += sorted(turn, key=lambda c: -score.ravel()[c])
    for count in (1, 5, len(queues), len(cells) - 1):
        assert cells[_in_turns(score, cells, count)].tolist() == sorted(taken[:count])


def test_noise_is_survived():
    rng = np.random.default_rng(1)
    score = rng.random((30, 40)).astype(np.float32)
    geometry = rng.uniform(0, 200, (5, 30, 40)).astype(np.float32)
    polygons, scores = unpacked(decode_east_maps(score, geometry, box_thresh=0.0))
    assert len(polygons) == len(scores) > 0 and np.isfinite(polygons).all()
    assert (scores >= 0).all() and (scores <= 1).all()
    empty, none = unpacked(decode_east_maps(score * 0, geometry))
    assert empty == [] and none.shape == (0,) and none.dtype == np.float32


def test_merging_equals_the_plain_loop_on_perturbed_real_maps(icdar2015_root, monkeypatch):
    """Merging in rounds equals the plain loop, box by box, on maps like a network's."""
    rng = np.random.default_rng(2)
    found = 0
    for image in icdar2015_texts(icdar2015_root)[:240:40]:
        score, geometry = perfect(image.polygons, image.image_size)
        score *= rng.uniform(0.7, 1, score.shape).astype(np.float32)
        geometry[:4] *= rng.normal(1, 0.1, geometry[:4].shape)
        geometry[4] += rng.normal(0, 0.1, geometry[4].shape)
        fast, scores = unpacked(decode_east_maps(score, geometry))
        with monkeypatch.context() as patch:
            patch.setattr("vlpt_d2.modeling.detection.east.nms.merge_in_rounds", merge_sequentially)
            slow, slow_scores = unpacked(decode_east_maps(score, geometry))
        assert len(fast) == len(slow)
        np.testing.assert_allclose(np.reshape(fast, (-1, 8)), np.reshape(slow, (-1, 8)), atol=1e-3)
        np.testing.assert_allclose(scores, slow_scores, atol=1e-3)
        found += len(fast)
    assert found >= 18


@pytest.mark.parametrize("angle_range", [45, 90])
def test_round_trip_of_real_texts(icdar2015_root, angle_range):
    """Perfect maps give every text of at least 12 px back, unless others cover it."""
    outcomes = came_back(icdar2015_texts(icdar2015_root)[::8], angle_range)
    assert sum(o.short_side >= 12 for o in outcomes) > 200, summary(outcomes)
    failed = [o for o in exceptions(outcomes) if o.reason not in ("overlap", "outside")]
    assert not failed, "\n".join(map(str, failed))


def test_round_trip_of_rendered_curved_texts():
    outcomes = came_back(rendered_curved_texts(20), 45)
    assert sum(o.short_side >= 12 for o in outcomes) > 50, summary(outcomes)
    assert not exceptions(outcomes), "\n".join(map(str, exceptions(outcomes)))


def came_back(images, angle_range):
    return round_trip(
        images,
        labels=lambda *args: draw_east_labels(*args, angle_range=angle_range),
        perfect_maps=lambda maps: maps,
        decode=lambda maps, size: decode_east_maps(
            maps["text"].astype(np.float32), maps["geometry"]
        ),
        labelled=lambda maps: bool(maps["text"].any()),
        rectangles=True,
    )
