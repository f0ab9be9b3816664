"""DB's decoding: round trips, each filter alone, maps that would stall a naive decoder."""

import cv2
import numpy as np
import pytest
import shapely
from helpers.polygons import unpacked
from scipy import ndimage

from vlpt_d2.modeling.detection.db import decode
from vlpt_d2.modeling.detection.db.decode import decode_probability_map
from vlpt_d2.modeling.detection.db.labels import draw_db_labels
from vlpt_d2.structures import TextInstances


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
    maps = draw_db_labels(TextInstances([np.asarray(polygon)]), size)
    return maps["text"].astype(np.float32) * value


def regrown(polygon, unclip_ratio, **buffer):
    """Shrink by DB's rule and grow by its other rule, in exact geometry."""
    shape = shapely.Polygon(polygon)
    shrunk = shape.buffer(-shape.area * 0.84 / shape.length, join_style="mitre")
    grown = shrunk.buffer(shrunk.area * unclip_ratio / shrunk.length, **buffer)
    return np.asarray(grown.exterior.coords)


def plain_boxes(probability, binary_thresh=0.3, box_thresh=0.6, ratio=1.5, min_size=3.0):
    """One region after the other, from all of its pixels, with masks as large as the map."""
    regions, count = ndimage.label(probability > binary_thresh, np.ones((3, 3)))
    found = []
    for i in range(1, count + 1):
        rows, columns = np.nonzero(regions == i)
        centre, (width, height), angle = cv2.minAreaRect(np.stack([columns, rows], 1).astype("f4"))
        mask = np.zeros(probability.shape, np.uint8)
        box = cv2.boxPoints((centre, (width, height), angle))
        cv2.fillPoly(mask, [np.rint(box).astype(np.int32)], 1)
        score = probability[mask > 0].mean()
        width, height = width + 1, height + 1
        distance = ratio * width * height / (2 * (width + height))
        if min(width, height) < min_size or score < box_thresh:
            continue
        width, height = width + 2 * distance, height + 2 * distance
        if min(width, height) >= min_size + 2:
            found.append((score, cv2.boxPoints((centre, (width, height), angle)) + 0.5))
    return found


def plain_polygons(probability, binary_thresh=0.3, box_thresh=0.6, ratio=2.0, min_size=3.0):
    """The same with outlines in place of rectangles."""
    regions, count = ndimage.label(probability > binary_thresh, np.ones((3, 3)))
    found = []
    for i in range(1, count + 1):
        region = (regions == i).astype(np.uint8)
        contour = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0][0]
        outline = cv2.approxPolyDP(contour, max(0.002 * cv2.arcLength(contour, True), 1), True)
        if len(outline) < 4 or min(cv2.minAreaRect(contour)[1]) + 1 < min_size:
            continue
        mask = np.zeros(probability.shape, np.uint8)
        cv2.fillPoly(mask, [outline], 1)
        score = probability[mask > 0].mean()
        if score < box_thresh:
            continue
        shape = shapely.Polygon(outline[:, 0])
        area, length = shape.area + shape.length / 2 + np.pi / 4, shape.length + np.pi
        grown = shape.buffer(0.5 + area * ratio / length, quad_segs=4)
        if grown.geom_type == "Polygon":
            ring = np.asarray(grown.exterior.coords, np.float32)[:-1]
            if min(cv2.minAreaRect(ring)[1]) >= min_size + 2:
                found.append((score, ring + 0.5))
    return found


def busy_map(seed):
    """Blurred noise and texts: regions with holes, regions in holes, specks, cut off by the map."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=(140, 200)).astype(np.float32), (0, 0), 3)
    polygons = [rotated(rng.uniform((0, 0), (200, 140)), (60, 25), rng.uniform(-40, 40))]
    texts = draw_db_labels(TextInstances(polygons), (140, 200))["text"]
    return np.clip(0.25 + 2.2 * noise + 0.5 * texts, 0, 1).astype(np.float32)


@pytest.mark.parametrize("mode", ["box", "polygon"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("speckled", [False, True])
def test_equal_to_a_plain_decoder(mode, seed, speckled, monkeypatch):
    """Both ways to find the regions: as they are, and with specks cleared first."""
    monkeypatch.setattr(decode, "_is_speckled", lambda binary: speckled)
    probability = busy_map(seed)
    plain = plain_boxes if mode == "box" else plain_polygons
    expected = plain(probability, box_thresh=0.3)
    polygons, scores = unpacked(
        decode_probability_map(
            probability,
            polygon_mode=mode == "polygon",
            box_thresh=0.3,
            unclip_ratio=1.5 if mode == "box" else 2.0,
        )
    )
    assert len(polygons) == len(expected) >= 5
    for score, polygon in expected:
        best = max(range(len(polygons)), key=lambda i: iou(polygons[i], polygon))
        assert iou(polygons[best], polygon) > 0.999
        # Corners half-way between pixels may be rounded to either.
        assert scores[best] == pytest.approx(score, abs=0.01)


@pytest.mark.parametrize("degrees", [0, 7, 30, 45, 90, -20])
@pytest.mark.parametrize("size", [(120, 40), (60, 20), (30, 14)])
def test_box_round_trip(size, degrees):
    polygon = rotated((120, 80), size, degrees)
    polygons, scores = unpacked(decode_probability_map(perfect_map(polygon), box_thresh=0.5))
    assert len(polygons) == 1 and polygons[0].shape == (4, 2) and polygons[0].dtype == np.float32
    expected = regrown(polygon, 1.5, join_style="mitre")
    # The region is known to half a pixel on each side, more when it is turned.
    assert iou(polygons[0], expected) > {40: 0.9, 20: 0.84, 14: 0.75}[size[1]]
    assert iou(polygons[0], polygon) > 0.75
    np.testing.assert_allclose(polygons[0].mean(axis=0), (120, 80), atol=0.5)
    assert scores.dtype == np.float32 and 0.5 < scores[0] < 0.9001


def test_polygon_round_trip():
    angles = np.radians(np.linspace(200, 340, 12))
    direction = np.column_stack([np.cos(angles), np.sin(angles)])
    arc = np.concatenate([direction * 110, direction[::-1] * 75]) + np.array((120, 140))
    polygons, scores = unpacked(
        decode_probability_map(perfect_map(arc), polygon_mode=True, unclip_ratio=2.0)
    )
    assert len(polygons) == 1 and len(polygons[0]) > 8
    assert iou(polygons[0], regrown(arc, 2.0)) > 0.93
    assert scores[0] == pytest.approx(0.9, abs=0.04)


def test_polygon_mode_returns_none_for_an_empty_map():
    for polygon_mode in (False, True):
        polygons, scores = unpacked(
            decode_probability_map(np.zeros((40, 50), np.float32), polygon_mode=polygon_mode)
        )
        assert polygons == [] and scores.shape == (0,) and scores.dtype == np.float32


def test_score_filter_alone():
    probability = np.zeros((60, 100), np.float32)
    probability[10:30, 10:50] = 0.55
    probability[40:55, 10:50] = 0.65
    polygons, scores = unpacked(decode_probability_map(probability, box_thresh=0.6))
    np.testing.assert_allclose(scores, [0.65], atol=1e-6)
    assert polygons[0][:, 1].mean() == pytest.approx(47.5, abs=0.1)
    assert len(decode_probability_map(probability, box_thresh=0.5).polygons) == 2


def test_size_filters_alone():
    probability = np.zeros((60, 100), np.float32)
    probability[10:12, 10:60] = 1  # 2 px high
    probability[20:23, 10:60] = 1  # 3 px high
    assert len(decode_probability_map(probability, min_size=3).polygons) == 1
    assert len(decode_probability_map(probability, min_size=2).polygons) == 2
    # Grown by 3 * 50 * 0.1 / 53, the second stays below 3 + 2.
    assert len(decode_probability_map(probability, min_size=3, unclip_ratio=0.1).polygons) == 0


def test_binary_threshold_splits():
    probability = np.zeros((40, 100), np.float32)
    probability[10:30, 10:90] = 0.9
    probability[10:30, 48:52] = 0.4
    assert len(decode_probability_map(probability, binary_thresh=0.3).polygons) == 1
    assert len(decode_probability_map(probability, binary_thresh=0.5).polygons) == 2


@pytest.mark.parametrize("polygon_mode", [False, True])
def test_text_within_the_hole_of_another_is_found(polygon_mode):
    probability = np.zeros((100, 100), np.float32)
    cv2.rectangle(probability, (10, 10), (89, 89), 0.9, 8)
    probability[45:55, 35:65] = 0.9
    polygons = decode_probability_map(
        probability, polygon_mode=polygon_mode, box_thresh=0.1
    ).polygons
    assert len(polygons) == 2
    # The hole itself is not a text.
    assert sorted(int(shapely.Polygon(p).area > 2000) for p in polygons) == [0, 1]


def test_a_map_of_specks_is_dropped_before_rectangles(monkeypatch):
    probability = np.zeros((736, 1280), np.float32)
    probability[::4, ::4] = 1
    probability[1::4, ::4] = 1  # 58,880 specks of two pixels
    probability[300:330, 400:500] = 1
    calls = []
    rect = cv2.minAreaRect
    monkeypatch.setattr(decode.cv2, "minAreaRect", lambda c: calls.append(1) or rect(c))
    polygons = decode_probability_map(probability).polygons
    assert len(polygons) == 1 and len(calls) == 1


def test_specks_and_holes_are_noticed():
    rows, columns = np.indices((300, 400))
    comb = (columns % 4 < 2) | (rows < 8)
    assert not decode._is_speckled(comb)
    net = (columns % 4 == 0) | (rows % 4 == 0)
    for speckled in (
        net,
        ~net,
        (rows + columns) % 2 == 0,
        np.random.default_rng(0).random((300, 400)) > 0.9,
    ):
        assert decode._is_speckled(speckled)
    assert not decode._is_speckled(
        cv2.GaussianBlur(np.random.default_rng(0).random((300, 400)), (0, 0), 4) > 0.5
    )


@pytest.mark.parametrize("speckled", [False, True])
def test_candidates_are_the_largest_and_the_others_are_counted(speckled, monkeypatch):
    monkeypatch.setattr(decode, "_is_speckled", lambda binary: speckled)
    probability = np.zeros((200, 200), np.float32)
    for i in range(6):
        probability[10 + 30 * i : 20 + 30 * i, 10 : 40 + 20 * i] = 0.9
    probability[::30, ::4] = 0.9  # specks, which are no candidates
    found = decode_probability_map(probability, max_candidates=2)
    polygons = found.polygons
    assert sorted(round(float(p[:, 1].mean())) for p in polygons) == [135, 165]
    assert found.counts == {"candidates": 6, "dropped_candidates": 4}
    found = decode_probability_map(probability, max_candidates=6)
    assert len(found.polygons) == 6
    assert found.counts == {"candidates": 6, "dropped_candidates": 0}
    assert len(decode_probability_map(probability, max_candidates=0).polygons) == 6


@pytest.mark.parametrize("polygon_mode", [False, True])
@pytest.mark.parametrize("level", [0.4, 0.5, 0.6])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_clearing_specks_and_holes_changes_nothing(sigma, level, polygon_mode, monkeypatch):
    """Noise with many regions that pass, nets full of holes, and regions in holes."""
    rng = np.random.default_rng(int(10 * sigma))
    noise = cv2.GaussianBlur(rng.random((300, 400), np.float32), (0, 0), sigma)
    noise = np.clip(0.5 + 0.2 * (noise - 0.5) / noise.std(), 0, 1)
    # One less than there are, so that specks are cleared; as many would be left as they are.
    regions = cv2.connectedComponents((noise > level).view(np.uint8))[0] - 1
    found = []
    for speckled in (False, True):
        monkeypatch.setattr(decode, "_is_speckled", lambda binary: speckled)  # noqa: B023
        found.append(
            decode_probability_map(
                noise,
                polygon_mode=polygon_mode,
                binary_thresh=level,
                box_thresh=0.3,
                max_candidates=regions - 1,
            )
        )
    (cleared, scores), (plain, others) = map(unpacked, found)
    assert len(cleared) == len(plain) > 0
    order, other = np.lexsort(_keys(cleared, scores)), np.lexsort(_keys(plain, others))
    for i, j in zip(order, other):
        np.testing.assert_array_equal(cleared[i], plain[j])
        assert scores[i] == others[j]


def _keys(polygons, scores):
    return (scores, *np.array([p.mean(axis=0) for p in polygons]).T)


def test_random_noise_is_survived():
    noise = np.random.rand(200, 300).astype(np.float32)
    for polygon_mode in (False, True):
        polygons, scores = unpacked(
            decode_probability_map(noise, polygon_mode=polygon_mode, box_thresh=0.0)
        )
        assert len(polygons) == len(scores) and all(np.isfinite(p).all() for p in polygons)


def test_pixels_to_coordinates():
    # Pixels 10..29 x 20..29 cover [10, 30] x [20, 30]; ratio 0 leaves them as they are.
    probability = np.zeros((50, 60), np.float32)
    probability[20:30, 10:30] = 1
    polygons = decode_probability_map(probability, unclip_ratio=0.0).polygons
    assert sorted(map(tuple, polygons[0].round(3).tolist())) == [
        (10, 20), (10, 30), (30, 20), (30, 30),
    ]  # fmt: skip
