"""PSENet's decoding: shapes by hand, each filter alone, round trips on real and curved text."""

import cv2
import numpy as np
import pytest
import shapely
from helpers.polygons import unpacked
from helpers.round_trip import (
    exceptions,
    icdar2015_texts,
    is_tie,
    rendered_curved_texts,
    round_trip,
)

from vlpt_d2.modeling.detection.psenet import decode
from vlpt_d2.modeling.detection.psenet.decode import decode_kernel_maps
from vlpt_d2.modeling.detection.psenet.expansion import expand_kernels
from vlpt_d2.modeling.detection.psenet.labels import draw_psenet_labels
from vlpt_d2.structures import TextInstances


def perfect(maps):
    return np.concatenate([maps["text"][None], maps["kernels"]]).astype(np.float32)


def perfect_maps(polygons, size=(120, 200), **settings):
    polygons = [np.asarray(p, np.float32) for p in polygons]
    return perfect(draw_psenet_labels(TextInstances(polygons), size, **settings))


def rotated(centre, size, degrees):
    return cv2.boxPoints((centre, size, degrees))


def iou(a, b):
    a, b = shapely.Polygon(a), shapely.Polygon(b)
    return a.intersection(b).area / a.union(b).area


def corners(polygon):
    return sorted(map(tuple, np.round(polygon, 3).tolist()))


@pytest.mark.parametrize("polygon_mode", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_upright_rectangles_come_back_exactly(polygon_mode, stride):
    texts = [
        [(8, 16), (88, 16), (88, 48), (8, 48)],
        [(100, 8), (124, 8), (124, 104), (100, 104)],
    ]
    maps = perfect_maps([np.divide(t, stride) for t in texts], (120 // stride, 200 // stride))
    settings = {"polygon_mode": polygon_mode, "min_kernel_area": 0}
    found, scores = unpacked(decode_kernel_maps(maps, stride=stride, **settings))
    assert sorted(map(corners, found)) == sorted(map(corners, np.array(texts, float)))
    assert scores.tolist() == [1, 1] and scores.dtype == found[0].dtype == np.float32
    assert all(len(p) == 4 for p in found)


@pytest.mark.parametrize("degrees", [3, 17, 30, 45, 80, -20])
@pytest.mark.parametrize("size", [(120, 40), (60, 20), (34, 12)])
@pytest.mark.parametrize("polygon_mode", [False, True])
def test_turned_rectangles_keep_place_and_area(degrees, size, polygon_mode):
    text = rotated((100.3, 60.2), size, degrees)
    found = decode_kernel_maps(
        perfect_maps([text]), polygon_mode=polygon_mode, min_kernel_area=0
    ).polygons
    assert len(found) == 1 and iou(found[0], text) > (0.95 if size[1] > 12 else 0.9)
    centre = shapely.Polygon(found[0]).centroid
    assert abs(centre.x - 100.3) < 0.3 and abs(centre.y - 60.2) < 0.3
    area = size[0] * size[1]
    assert shapely.Polygon(found[0]).area == pytest.approx(area, rel=0.05 if size[1] > 12 else 0.08)


def test_polygon_mode_keeps_bays_and_box_mode_does_not():
    text = [(10, 10), (110, 10), (110, 70), (80, 70), (80, 40), (40, 40), (40, 70), (10, 70)]
    maps = perfect_maps([text], min_scale=0.7)
    (outline,) = decode_kernel_maps(maps, polygon_mode=True).polygons
    assert iou(outline, text) > 0.97
    (box,) = decode_kernel_maps(maps).polygons
    # Its area is less than its hull's, so the hull of pixel centres does not grow.
    assert iou(box, [(10, 10), (110, 10), (110, 70), (10, 70)]) > 0.97


def test_touching_texts_are_told_apart_by_their_kernels():
    texts = [[(10, 10), (60, 10), (60, 30), (10, 30)], [(60, 10), (110, 10), (110, 30), (60, 30)]]
    maps = perfect_maps(texts)
    assert cv2.connectedComponents((maps[0] > 0).view(np.uint8))[0] == 2
    found = decode_kernel_maps(maps, min_kernel_area=0).polygons
    assert sorted(map(corners, found)) == sorted(map(corners, np.array(texts, float)))


def test_filters_one_by_one():
    small, large = (
        np.array([(10, 10), (40, 10), (40, 26), (10, 26)]),
        np.array([(60, 20), (150, 20), (150, 70), (60, 70)]),
    )
    maps = perfect_maps([small, large])
    kernel_areas = [int(maps[-1, :26, :50].sum()), int(maps[-1, :, 60:].sum())]

    def decode(maps=maps, **settings):
        settings = {"min_kernel_area": 0, "min_area": 0, "score_thresh": 0} | settings
        found, scores = unpacked(decode_kernel_maps(maps, **settings))
        return sorted(round(shapely.Polygon(p).area) for p in found), scores

    both = [480, 4500]
    assert decode()[0] == both
    assert decode(min_kernel_area=kernel_areas[0])[0] == both
    assert decode(min_kernel_area=kernel_areas[0] + 1)[0] == [4500]
    assert decode(min_kernel_area=kernel_areas[1] + 1)[0] == []
    assert decode(min_area=480)[0] == both
    assert decode(min_area=481)[0] == [4500]
    # Areas are in input pixels: at stride 2 a pixel of the map counts four.
    assert decode(stride=2, min_area=4 * 480)[0] == [4 * 480, 4 * 4500]
    assert decode(stride=2, min_area=4 * 480 + 1)[0] == [4 * 4500]
    assert decode(stride=2, min_kernel_area=4 * kernel_areas[0] + 1)[0] == [4 * 4500]

    unsure = maps.copy()
    unsure[0, :, :50] *= 0.8
    unsure[0, 10:18, 10:40] *= 0.75  # half of it 0.6: 0.7 in the mean
    areas, scores = decode(unsure)
    assert areas == both and sorted(scores.tolist()) == pytest.approx([0.7, 1.0])
    assert decode(unsure, score_thresh=0.69)[0] == both
    assert decode(unsure, score_thresh=0.71)[0] == [4500]
    # Half of the text is not enough at this threshold.
    assert decode(unsure, kernel_thresh=0.7)[0][1] == 4500
    assert decode(unsure, kernel_thresh=0.7)[0][0] < 300
    assert decode(unsure * 0.5)[0] == [] and decode(np.zeros_like(maps))[0] == []


def test_kernels_outside_the_text_do_not_count():
    maps = perfect_maps([[(10, 10), (60, 10), (60, 40), (10, 40)]])
    maps[1:, 80:110, 100:180] = 1
    found = decode_kernel_maps(maps).polygons
    assert len(found) == 1 and found[0].max() == 60


@pytest.mark.parametrize("polygon_mode", [False, True])
def test_thin_and_ragged_regions(polygon_mode):
    """Lines and single pixels have no area to grow from; combs make contours that double back."""
    maps = np.zeros((2, 60, 80), np.float32)
    maps[:, 5, 10:30] = 1
    maps[:, 20, 20] = 1
    maps[:, np.arange(30, 50), np.arange(30, 50)] = 1  # 4-connected: twenty single pixels
    maps[:, 30:34, 60:75] = 1
    maps[:, 34:50, 60:75:2] = 1
    found, scores = unpacked(
        decode_kernel_maps(maps, polygon_mode=polygon_mode, min_kernel_area=0, min_area=0)
    )
    assert len(found) == 1 + 1 + 20 + 1 and (scores == 1).all()
    assert all(shapely.Polygon(p).is_valid and len(p) >= 4 for p in found)
    assert (10, 5) in corners(found[0]) and (30, 6) in corners(found[0])
    singles = [p for p in found if shapely.Polygon(p).area == pytest.approx(1)]
    assert len(singles) == 21


@pytest.mark.parametrize("polygon_mode", [False, True])
def test_early_maps_of_specks(polygon_mode):
    """Smoothed noise: every kernel is tens of thousands of specks, nested in nothing."""
    rng = np.random.default_rng(0)
    maps = rng.random((7, 184, 320), np.float32)
    maps = np.stack([cv2.GaussianBlur(m, (0, 0), 0.6) for m in maps])
    found, scores = unpacked(
        decode_kernel_maps(maps, stride=4, polygon_mode=polygon_mode, score_thresh=0.5)
    )
    assert all(shapely.Polygon(p).is_valid for p in found)
    assert len(found) == len(scores) and np.isfinite(scores).all()


@pytest.mark.parametrize("seed", range(8))
def test_texts_without_a_rival_need_no_queue(seed):
    """Filled at once, with the same result as growing all by :func:`expand_kernels`."""
    rng = np.random.default_rng(seed)
    texts = [
        rotated(rng.uniform((20, 20), (280, 160)), (rng.uniform(30, 70), 24), rng.uniform(-30, 30))
        for _ in range(4 + 2 * seed)
    ]
    maps = perfect_maps(texts, (180, 300))
    maps = np.where(rng.random(maps.shape) < 0.03, 1 - maps, maps) > 0.5
    maps[1:] &= maps[0]
    seeds = cv2.connectedComponents(maps[-1].view(np.uint8), connectivity=4)[1]
    expected = expand_kernels(seeds, maps[-2::-1])
    np.testing.assert_array_equal(decode._expand(seeds, maps[-2::-1]), expected)
    regions, rivals = cv2.connectedComponents(maps[0].view(np.uint8), connectivity=4)[1], []
    for region in range(1, regions.max() + 1):
        rivals.append(np.count_nonzero(np.unique(seeds[regions == region])))
    assert 0 in rivals and 1 in rivals and max(rivals) > 1


def test_candidates_are_the_largest_and_the_others_are_counted():
    texts = [[(10, 10), (60, 10), (60, 30), (10, 30)], [(80, 10), (150, 10), (150, 40), (80, 40)]]
    texts += [[(10, 60), (100, 60), (100, 100), (10, 100)]]
    maps = perfect_maps(texts)
    limited = decode_kernel_maps(maps, max_candidates=2)
    found, scores = unpacked(limited)
    assert sorted(corners(p) for p in found) == sorted(
        corners(np.array(t, float)) for t in texts[1:]
    )
    assert len(scores) == 2
    assert limited.counts == {"candidates": 3, "dropped_candidates": 1}
    for limit in (3, 0):
        every = decode_kernel_maps(maps, max_candidates=limit)
        assert len(every.polygons) == 3
        assert every.counts == {"candidates": 3, "dropped_candidates": 0}


def labelled(maps):
    return bool(maps["kernels"][-1].any())


@pytest.mark.parametrize("polygon_mode", [False, True])
def test_round_trip_on_real_texts(icdar2015_root, polygon_mode):
    """At stride 1, texts of 12 px and more come back; the exceptions have their reasons."""
    outcomes = round_trip(
        icdar2015_texts(icdar2015_root)[40:90],
        labels=draw_psenet_labels,
        perfect_maps=perfect,
        decode=lambda maps, size: decode_kernel_maps(
            maps, polygon_mode=polygon_mode, min_kernel_area=0
        ),
        labelled=labelled,
        rectangles=not polygon_mode,
    )
    asked = [o for o in outcomes if o.short_side >= 12]
    failed = exceptions(outcomes)
    assert len(asked) > 120
    if polygon_mode:
        assert all(o.reason == "overlap" for o in failed), [str(o) for o in failed]
    else:
        # Which of two rectangles of about the same area is the smallest turns on half a pixel.
        assert len(failed) < 0.05 * len(asked)
        shapes = [is_tie(o) for o in failed if o.reason == "shape"]
        assert sum(shapes) > 0 and len(shapes) - sum(shapes) < 0.015 * len(asked)
    assert np.mean([o.iou for o in asked]) > 0.95


@pytest.mark.parametrize("stride", [1, 4])
def test_round_trip_on_curved_texts(stride):
    def at_stride(maps):
        small = perfect(maps)
        size = (small.shape[2] // stride, small.shape[1] // stride)
        return np.stack([cv2.resize(m, size, interpolation=cv2.INTER_AREA) for m in small])

    outcomes = round_trip(
        rendered_curved_texts(12),
        labels=lambda *texts: draw_psenet_labels(*texts, min_scale=0.7),
        perfect_maps=at_stride,
        decode=lambda maps, size: decode_kernel_maps(
            maps, stride=stride, polygon_mode=True, min_kernel_area=0, score_thresh=0.5
        ),
        labelled=labelled,
        rectangles=False,
    )
    assert sum(o.short_side >= 12 * stride for o in outcomes) > 25
    assert not exceptions(outcomes, 12 * stride)
