"""TextField's decoding against a walk along every path, shapes by hand, round trips."""

import cv2
import numpy as np
import pytest
import shapely
from helpers.polygons import unpacked
from helpers.round_trip import exceptions, rendered_curved_texts, round_trip
from helpers.textfield_by_pixel import group_by_pixel

from vlpt_d2.modeling.detection.textfield.decode import decode_direction_field, group_pixels
from vlpt_d2.modeling.detection.textfield.labels import draw_textfield_labels
from vlpt_d2.structures import TextInstances


def field_of(rings, size=(120, 200)):
    """The field of a perfect network, at stride 2."""
    maps = draw_textfield_labels(TextInstances([np.float32(r) for r in rings]), size)
    return maps["direction"].astype(np.float32)


def box(x0, y0, x1, y1):
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def corners(polygon):
    return sorted(map(tuple, np.round(polygon, 3).tolist()))


def assert_same_groups(found, expected):
    """The same but for the order of the numbers."""
    pairs = set(zip(found.ravel().tolist(), expected.ravel().tolist()))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert (0, 0) in pairs or not {a for a, _ in pairs} & {0}
    assert found.max(initial=0) == len(pairs) - ((0, 0) in pairs)


@pytest.mark.parametrize("seed", range(4))
def test_groups_equal_those_by_pixel(seed):
    """On noise, on texts, and on texts under noise whose middle is not sure."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=(60, 90, 2)).astype(np.float32), (0, 0), 1.0)
    noise = noise.transpose(2, 0, 1)
    rings = [
        cv2.boxPoints((rng.uniform((20, 20), (160, 100)).tolist(), (70.0, height), angle))
        for height, angle in ((14, 20), (40, -35), (60, 80))
    ]
    texts = field_of(rings, (120, 180))
    for field in (noise / noise.std(), texts, texts + 0.5 * noise / noise.std()):
        blurred = np.stack([cv2.blur(m, (4, 4)) for m in field])
        for values in (field, blurred):
            text = np.hypot(*values) > 0.6
            found = group_pixels(values, text, 2)
            assert_same_groups(found, group_by_pixel(values, text, 2))
            assert not found[~text].any() and found.any()


def test_deep_texts_reach_across_their_middle():
    """Half a text's height of sure directions, then 4 rows that are not."""
    field = field_of([box(20, 10, 180, 110)])
    field[:, 28:32] = 0
    text = np.hypot(*field) > 0.5
    labels = group_pixels(field, text, 2)
    assert labels.max() == 1 and (labels == 1).sum() > 0.95 * text.sum()
    (found,) = decode_direction_field(field, stride=2, polygon_mode=True).polygons
    assert shapely.Polygon(found).area == pytest.approx(160 * 100, rel=0.01)
    # Of a text of 28 pixels no half is deep: its halves do not meet, and face nothing.
    field = field_of([box(20, 10, 180, 38)])
    field[:, 10:14] = 0
    assert not group_pixels(field, np.hypot(*field) > 0.5, 2)[:, 25:75].any()


@pytest.mark.parametrize("polygon_mode", [False, True])
def test_upright_texts_come_back_exactly_also_where_they_touch(polygon_mode):
    rings = [box(8, 16, 88, 48), box(88, 16, 150, 48), box(20, 48, 120, 80), box(160, 8, 184, 104)]
    found, scores = unpacked(
        decode_direction_field(field_of(rings), stride=2, polygon_mode=polygon_mode, min_area=0)
    )
    assert sorted(map(corners, found)) == sorted(map(corners, np.array(rings, float)))
    assert scores.tolist() == [1] * 4 and scores.dtype == found[0].dtype == np.float32


def test_curved_text_keeps_its_bay():
    arc = np.linspace(np.pi, 2 * np.pi, 12)
    ring = np.column_stack([np.cos(arc), np.sin(arc)])
    ring = np.add(np.concatenate([ring * 90, ring[::-1] * 60]), 100)
    (found,) = decode_direction_field(field_of([ring]), stride=2, polygon_mode=True).polygons
    shape, text = shapely.Polygon(found), shapely.Polygon(ring)
    assert shape.intersection(text).area / shape.union(text).area > 0.93


def test_filters_one_by_one():
    rings = [box(10, 10, 40, 26), box(60, 20, 150, 70)]
    field = field_of(rings)

    def decode(field=field, **settings):
        texts = decode_direction_field(field, stride=2, **({"min_area": 0} | settings))
        found, scores = unpacked(texts)
        return sorted(round(shapely.Polygon(p).area) for p in found), scores

    assert decode()[0] == [480, 4500]
    assert decode(min_area=480)[0] == [480, 4500]
    assert decode(min_area=481)[0] == [4500]
    weak = field.copy()
    weak[:, :, :25] *= 0.7
    areas, scores = decode(weak)
    assert areas == [480, 4500] and sorted(scores.tolist()) == pytest.approx([0.7, 1], abs=1e-3)
    assert decode(weak, score_thresh=0.71)[0] == [4500]
    assert decode(weak, magnitude_thresh=0.71)[0] == [4500]
    long = decode(field * 1.5)[1]
    assert long.tolist() == [1, 1]
    # One half of a text faces nothing; a single pixel neither.
    half = field.copy()
    half[:, 9:] = 0
    assert decode(half[:, :, :25], polygon_mode=True)[0] == []
    assert decode(field * 0)[0] == []
    assert decode(max_candidates=1)[0] == [4500] and decode(max_candidates=0)[0] == [480, 4500]
    counts = decode_direction_field(field, stride=2, max_candidates=1).counts
    assert counts == {"candidates": 2, "dropped_candidates": 1}


def test_early_maps_of_specks():
    noise = np.random.default_rng(0).normal(size=(2, 92, 160)).astype(np.float32)
    for polygon_mode in (False, True):
        found, scores = unpacked(
            decode_direction_field(noise, stride=2, polygon_mode=polygon_mode, min_area=0)
        )
        assert len(found) == len(scores) > 0 and np.isfinite(scores).all()
        assert all(shapely.Polygon(p).is_valid for p in found)


def test_round_trip_on_curved_texts():
    """benchmarks/bench_textfield.py has all photographs of ICDAR2015, too."""
    outcomes = round_trip(
        rendered_curved_texts(4),
        labels=draw_textfield_labels,
        perfect_maps=lambda maps: maps["direction"].astype(np.float32),
        decode=lambda maps, size: decode_direction_field(maps, stride=2, polygon_mode=True),
        labelled=lambda maps: bool(maps["text_weight"].any()),
        rectangles=False,
        required_iou=0.8,
    )
    asked = [o.iou for o in outcomes if o.short_side >= 12]
    assert len(asked) > 10 and np.mean(asked) > 0.9 and not exceptions(outcomes)
