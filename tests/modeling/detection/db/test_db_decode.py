"""DB's decoding: round trips, each filter alone, maps that would stall a naive decoder."""

import cv2
import numpy as np
import pytest
import shapely

from vlpt_d2.modeling.detection.db import decode, decode_probability_map, draw_db_labels


def rotated(centre, size, degrees):
    """Corners of a rectangle of (width, height) turned about its centre, (4, 2)."""
    w, h = size
    corners = np.array([(-w, -h), (w, -h), (w, h), (-w, h)]) / 2
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return corners @ np.array([(cos, sin), (-sin, cos)]) + centre


def iou(a, b):
    a, b = shapely.Polygon(a), shapely.Polygon(b)
    return a.intersection(b).area / a.union(b).area


def perfect_map(polygon, value=0.9, size=(160, 240)):
    maps = draw_db_labels([np.asarray(polygon)], np.array([False]), size)
    return maps["text"].astype(np.float32) * value


def regrown(polygon, unclip_ratio, **buffer):
    """Shrink by DB's rule and grow by its other rule, in exact geometry."""
    shape = shapely.Polygon(polygon)
    shrunk = shape.buffer(-shape.area * 0.84 / shape.length, join_style="mitre")
    grown = shrunk.buffer(shrunk.area * unclip_ratio / shrunk.length, **buffer)
    return np.asarray(grown.exterior.coords)


@pytest.mark.parametrize("degrees", [0, 7, 30, 45, 90, -20])
@pytest.mark.parametrize("size", [(120, 40), (60, 20), (30, 14)])
def test_box_round_trip(size, degrees):
    polygon = rotated((120, 80), size, degrees)
    polygons, scores = decode_probability_map(perfect_map(polygon), box_thresh=0.5)
    assert len(polygons) == 1 and polygons[0].shape == (4, 2) and polygons[0].dtype == np.float32
    expected = regrown(polygon, 1.5, join_style="mitre")
    # The region is known to half a pixel on each side, more when it is turned.
    assert iou(polygons[0], expected) > {40: 0.9, 20: 0.87, 14: 0.75}[size[1]]
    assert iou(polygons[0], polygon) > 0.75
    np.testing.assert_allclose(polygons[0].mean(axis=0), (120, 80), atol=0.5)
    assert scores.dtype == np.float32 and 0.5 < scores[0] < 0.9001


def test_polygon_round_trip():
    angles = np.radians(np.linspace(200, 340, 12))
    direction = np.column_stack([np.cos(angles), np.sin(angles)])
    arc = np.concatenate([direction * 110, direction[::-1] * 75]) + np.array((120, 140))
    polygons, scores = decode_probability_map(perfect_map(arc), polygon_mode=True, unclip_ratio=2.0)
    assert len(polygons) == 1 and len(polygons[0]) > 8
    assert iou(polygons[0], regrown(arc, 2.0)) > 0.93
    assert scores[0] == pytest.approx(0.9, abs=0.04)


def test_polygon_mode_returns_none_for_an_empty_map():
    for polygon_mode in (False, True):
        polygons, scores = decode_probability_map(
            np.zeros((40, 50), np.float32), polygon_mode=polygon_mode
        )
        assert polygons == [] and scores.shape == (0,) and scores.dtype == np.float32


def test_score_filter_alone():
    probability = np.zeros((60, 100), np.float32)
    probability[10:30, 10:50] = 0.55
    probability[40:55, 10:50] = 0.65
    polygons, scores = decode_probability_map(probability, box_thresh=0.6)
    np.testing.assert_allclose(scores, [0.65], atol=1e-6)
    assert polygons[0][:, 1].mean() == pytest.approx(47.5, abs=0.1)
    assert len(decode_probability_map(probability, box_thresh=0.5)[0]) == 2


def test_size_filters_alone():
    probability = np.zeros((60, 100), np.float32)
    probability[10:12, 10:60] = 1  # 2 px high
    probability[20:23, 10:60] = 1  # 3 px high
    assert len(decode_probability_map(probability, min_size=3)[0]) == 1
    assert len(decode_probability_map(probability, min_size=2)[0]) == 2
    # Grown by 3 * 50 * 0.1 / 53, the second stays below 3 + 2.
    assert len(decode_probability_map(probability, min_size=3, unclip_ratio=0.1)[0]) == 0


def test_binary_threshold_splits():
    probability = np.zeros((40, 100), np.float32)
    probability[10:30, 10:90] = 0.9
    probability[10:30, 48:52] = 0.4
    assert len(decode_probability_map(probability, binary_thresh=0.3)[0]) == 1
    assert len(decode_probability_map(probability, binary_thresh=0.5)[0]) == 2


@pytest.mark.parametrize("polygon_mode", [False, True])
def test_text_within_the_hole_of_another_is_found(polygon_mode):
    probability = np.zeros((100, 100), np.float32)
    cv2.rectangle(probability, (10, 10), (89, 89), 0.9, 8)
    probability[45:55, 35:65] = 0.9
    polygons, _ = decode_probability_map(probability, polygon_mode=polygon_mode, box_thresh=0.1)
    assert len(polygons) == 2
    # The hole itself is no text.
    assert sorted(int(shapely.Polygon(p).area > 2000) for p in polygons) == [0, 1]


def test_a_map_of_specks_is_dropped_before_contours(monkeypatch):
    probability = np.zeros((736, 1280), np.float32)
    probability[::4, ::4] = 1
    probability[1::4, ::4] = 1  # 58,880 specks of two pixels
    probability[300:330, 400:500] = 1
    calls = []
    rect = cv2.minAreaRect
    monkeypatch.setattr(decode.cv2, "minAreaRect", lambda c: calls.append(1) or rect(c))
    polygons, _ = decode_probability_map(probability)
    assert len(polygons) == 1 and len(calls) == 1


def test_candidates_are_the_largest():
    probability = np.zeros((200, 200), np.float32)
    for i in range(6):
        probability[10 + 30 * i : 20 + 30 * i, 10 : 40 + 20 * i] = 0.9
    polygons, _ = decode_probability_map(probability, max_candidates=2)
    assert sorted(round(float(p[:, 1].mean())) for p in polygons) == [135, 165]


def test_random_noise_is_survived():
    noise = np.random.rand(200, 300).astype(np.float32)
    for polygon_mode in (False, True):
        polygons, scores = decode_probability_map(noise, polygon_mode=polygon_mode, box_thresh=0.0)
        assert len(polygons) == len(scores) and all(np.isfinite(p).all() for p in polygons)


def test_pixels_to_coordinates():
    # Pixels 10..29 x 20..29 cover [10, 30] x [20, 30]; ratio 0 leaves them as they are.
    probability = np.zeros((50, 60), np.float32)
    probability[20:30, 10:30] = 1
    polygons, _ = decode_probability_map(probability, unclip_ratio=0.0)
    assert sorted(map(tuple, polygons[0].round(3).tolist())) == [
        (10, 20), (10, 30), (30, 20), (30, 30),
    ]  # fmt: skip
