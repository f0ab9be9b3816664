"""TextDragon's decoding: round trips, a loop over the boxes, each threshold alone, noise."""

import cv2
import numpy as np
import pytest
import shapely
from helpers.plain_textdragon import plain_dragons
from helpers.polygons import unpacked
from helpers.round_trip import icdar2015_texts, rendered_curved_texts, round_trip

from vlpt_d2.modeling.detection.textdragon.decode import decode_dragon_maps
from vlpt_d2.modeling.detection.textdragon.labels import draw_dragon_labels
from vlpt_d2.structures import TextInstances


def perfect(maps):
    return [np.float32(maps[name]) for name in ("text", "geometry")]


def drawn(*polygons, size=(240, 320)):
    return perfect(draw_dragon_labels(TextInstances([np.asarray(p) for p in polygons]), size))


def wave(height=28, y=120, count=9):
    x = np.linspace(20, 300, count)
    y = y + 40 * np.sin(x / 45)
    top, bottom = np.column_stack([x, y - height / 2]), np.column_stack([x, y + height / 2])
    return np.concatenate([top, bottom[::-1]])


def box(centre, sides, degrees):
    """Corners from the top left of the first character, turned clockwise."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * np.array(sides) / 2
    return corners @ np.array([(cos, sin), (-sin, cos)]) + centre


def iou(a, b):
    a, b = shapely.Polygon(a), shapely.Polygon(b)
    return a.intersection(b).area / a.union(b).area


@pytest.mark.parametrize("degrees", [0, 20, 45, 90, 130, 180, 250])
@pytest.mark.parametrize("sides", [(120, 40), (60, 20), (30, 14), (20, 40)])
def test_rectangles_come_back_with_their_direction(sides, degrees):
    corners = box((160.3, 120.7), sides, degrees)
    for polygon_mode in (False, True):
        texts, (pair,) = decode_dragon_maps(*drawn(corners), polygon_mode=polygon_mode)
        (found,), (score,) = unpacked(texts)
        assert iou(found, corners) > 0.97 and score == 1
        assert found.dtype == np.float32 and (len(found) == 4 or polygon_mode)
        np.testing.assert_allclose(pair[:, [0, -1]], corners[[[0, 1], [3, 2]]], atol=1.5)


def test_words_that_touch_are_two():
    left, right = box((100, 120), (80, 24), 0), box((170, 120), (60, 24), 0)
    below = box((130, 138), (120, 12), 0)
    found = decode_dragon_maps(*drawn(left, right, below), polygon_mode=True)[0].polygons
    assert len(found) == 3
    for text in (left, right, below):
        assert max(iou(f, text) for f in found) > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_a_loop_over_the_boxes(seed):
    """On maps with errors as a trained network makes them."""
    rng = np.random.default_rng(seed)
    score, geometry = drawn(wave(), box((80, 40), (110, 30), 10), box((240, 210), (60, 18), -30))
    score = np.clip(score - 0.4 * rng.random(score.shape), 0, 1).astype(np.float32)
    geometry *= rng.uniform(0.9, 1.1, geometry.shape).astype(np.float32)
    geometry[4:] /= np.maximum(np.linalg.norm(geometry[4:], axis=0), 1e-6)
    texts, sides = decode_dragon_maps(score, geometry, polygon_mode=True)
    polygons, scores = unpacked(texts)
    expected, means = plain_dragons(score, geometry)
    assert len(polygons) == len(expected) == 3
    np.testing.assert_allclose(scores, means, rtol=1e-5)
    for found, wanted in zip(sides, expected):
        # Cells are visited in another order, so that positions differ by the error of directions.
        assert iou(*(np.concatenate([s[0], s[1][::-1]]) for s in (found, wanted))) > 0.95


def test_thresholds_one_by_one():
    score, geometry = drawn(wave())
    for factor, keys, count in (
        (0.5, {"centre_thresh": 0.6, "score_thresh": 0.0}, 0),
        (0.5, {"centre_thresh": 0.4, "score_thresh": 0.4}, 1),
        (0.5, {"centre_thresh": 0.4, "score_thresh": 0.6}, 0),
    ):
        assert len(decode_dragon_maps(factor * score, geometry, **keys)[0].polygons) == count
    # Boxes that reach up much farther lie on another line.
    geometry[0, :, 40:] += 60
    assert len(decode_dragon_maps(score, geometry)[0].polygons) > 1


@pytest.mark.parametrize("polygon_mode", [False, True])
def test_maps_of_early_epochs(polygon_mode):
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.random((60, 80), np.float32), (0, 0), 1.5)
    noise = np.clip((noise - 0.5) * 8 + 0.5, 0, 1)
    geometry = np.concatenate([30 * rng.random((4, 60, 80)), rng.normal(size=(2, 60, 80))])
    geometry = geometry.astype(np.float32)
    for score, values in (
        (noise, geometry), (np.ones_like(noise), geometry), (np.ones_like(noise), 0 * geometry)
    ):  # fmt: skip
        texts, _ = decode_dragon_maps(score, values, polygon_mode=polygon_mode, score_thresh=0.0)
        polygons, scores = unpacked(texts)
        assert len(polygons) == len(scores) > 0
        assert all(np.isfinite(p).all() for p in polygons)
        assert not polygon_mode or all(shapely.Polygon(p).is_valid for p in polygons)
    assert decode_dragon_maps(0 * noise, geometry, polygon_mode=polygon_mode)[0].polygons == []


def returned(images, polygon_mode):
    outcomes = round_trip(
        images,
        labels=draw_dragon_labels,
        perfect_maps=perfect,
        decode=lambda maps, size: decode_dragon_maps(*maps, polygon_mode=polygon_mode)[0],
        labelled=lambda maps: bool(maps["text"].any()),
        rectangles=not polygon_mode,
    )
    return np.array([o.iou for o in outcomes if o.short_side >= 12])


@pytest.mark.parametrize("polygon_mode", [False, True])
def test_real_texts_come_back(icdar2015_root, polygon_mode):
    """benchmarks/bench_textdragon.py --round-trip takes all images."""
    ious = returned(icdar2015_texts(icdar2015_root)[5::200], polygon_mode)
    assert len(ious) > 10 and ious.mean() > 0.92 and (ious > 0.8).mean() > 0.9


def test_rendered_curved_texts_come_back():
    ious = returned(rendered_curved_texts(16), True)
    assert len(ious) > 40 and ious.mean() > 0.95 and (ious > 0.8).mean() > 0.95
