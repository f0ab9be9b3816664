"""How shrunk texts grow back: formulas by hand, then round trips of real and rendered texts."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import shapely
from helpers.round_trip import (
    Texts,
    exceptions,
    icdar2015_texts,
    rendered_curved_texts,
    round_trip,
)

from vlpt_d2.modeling.detection.db.decode import decode_probability_map
from vlpt_d2.modeling.detection.db.labels import draw_db_labels
from vlpt_d2.modeling.detection.db.unclip import exact_distance, exact_polygons, published_boxes

# 40 of the 1000 training images; benchmarks/bench_db.py --round-trip takes them all.
SUBSET = slice(0, None, 25)


def db_round_trip(images, **decoding):
    return round_trip(
        images,
        labels=draw_db_labels,
        perfect_maps=lambda maps: maps["text"].astype(np.float32),
        decode=lambda probability, size: decode_probability_map(probability, **decoding),
        labelled=lambda maps: bool(maps["text"].any()),
        rectangles=not decoding.get("polygon_mode", False),
    )


def published_iou(width, height):
    """Of a rectangle shrunk by DB's rule and grown by the published one."""
    shrink = 0.84 * width * height / (2 * (width + height))
    w, h = width - 2 * shrink, height - 2 * shrink
    growth = 1.5 * w * h / (2 * (w + h))
    back = (w + 2 * growth) * (h + 2 * growth)
    return min(back / (width * height), width * height / back)


def test_published_by_hand():
    # 100 x 20: D = 2000 * 0.84 / 240 = 7, so 86 x 6 is left; it grows by 516 * 1.5 / 184 = 4.207.
    grown = published_boxes(np.array([[50.0, 10.0, 85.0, 5.0, 0.0]]), 1.5)
    np.testing.assert_allclose(grown, [[50, 10, 94.413, 14.413, 0]], atol=1e-3)
    assert published_iou(100, 20) == pytest.approx(94.413 * 14.413 / 2000, abs=1e-4)


def test_exact_distance_by_hand():
    # 100 x 20 again, and the square 40 x 40: D = 1600 * 0.84 / 160 = 8.4, 23.2 x 23.2 is left.
    distances = exact_distance(np.array([516, 538.24]), np.array([184, 92.8]), 0.4)
    np.testing.assert_allclose(distances, [7.0, 8.4], atol=1e-9)


@pytest.mark.parametrize("shrink_ratio", [0.2, 0.4, 0.7])
def test_exact_distance_of_a_bent_band(shrink_ratio):
    """A band of width 30 with a right-angled bend: two left turns' tangent, one right turn's."""
    band = shapely.Polygon([(0, 0), (200, 0), (200, 150), (170, 150), (170, 30), (0, 30)])
    shrink = band.area * (1 - shrink_ratio**2) / band.length
    shrunk = band.buffer(-shrink, join_style="mitre", mitre_limit=10)
    found = exact_distance(np.array([shrunk.area]), np.array([shrunk.length]), shrink_ratio)
    assert found[0] == pytest.approx(shrink, rel=1e-9)


def test_exact_polygons_of_pixels():
    """The outline through the outer pixels of an upright region lies half a pixel within it."""
    outline = np.array([(10, 20), (95, 20), (95, 25), (10, 25)])  # 86 x 6 pixels
    line, point = outline[:2], outline[:1]
    shapes = exact_polygons([outline, line, point], np.array([516, 86, 1]), 0.4)
    assert shapes[0].bounds == pytest.approx((2.5, 12.5, 102.5, 32.5))
    assert all(s.geom_type == "Polygon" and s.area > 1 for s in shapes)


def test_unknown_unclip():
    with pytest.raises(ValueError, match="'inverse'"):
        decode_probability_map(np.zeros((8, 8), np.float32), unclip="inverse")


@pytest.mark.parametrize("size", [(120, 120), (300, 120), (480, 120), (600, 80)])
def test_published_boxes_come_back_as_the_formula_says(size):
    width, height = size
    corners = np.float32([(0, 0), (width, 0), (width, height), (0, height)]) + 20
    image = Texts("drawn", [corners], np.zeros(1, bool), (height + 40, width + 40))
    (outcome,) = db_round_trip([image], unclip_ratio=1.5)
    assert outcome.iou == pytest.approx(published_iou(width, height), abs=0.03)
    (outcome,) = db_round_trip([image], unclip="exact")
    assert outcome.iou > 0.97


def upright(polygon):
    """The minimum-area rectangle of a text, turned upright: its border is that of whole pixels."""
    centre, sides, _ = cv2.minAreaRect(polygon)
    return cv2.boxPoints((centre, sides, 0.0))


def test_published_ratio_on_texts_of_real_sizes(icdar2015_root):
    """Words of the benchmark, as rectangles: each comes back as small as its shape makes it."""
    images = [
        replace(t, polygons=[upright(p) for p in t.polygons])
        for t in icdar2015_texts(icdar2015_root)[SUBSET]
    ]
    outcomes = [o for o in db_round_trip(images, unclip_ratio=1.5) if o.short_side >= 12]
    expected = np.array([published_iou(o.long_side, o.short_side) for o in outcomes])
    found = np.array([o.iou for o in outcomes])
    assert len(found) > 100 and np.median(found) < 0.9
    np.testing.assert_allclose(np.median(found), np.median(expected), atol=0.02)
    # Half a pixel more or less of the few that are left of a small text counts.
    assert np.percentile(np.abs(found - expected), 90) < 0.15


@pytest.mark.parametrize(("mode", "share"), [("box", 0.9), ("polygon", 0.97)])
def test_exact_inverse_on_real_texts(icdar2015_root, mode, share):
    images = icdar2015_texts(icdar2015_root)[SUBSET]
    outcomes = db_round_trip(images, unclip="exact", polygon_mode=mode == "polygon")
    asked = [o for o in outcomes if o.short_side >= 12]
    failed = exceptions(outcomes)
    assert len(asked) > 100
    assert len(failed) <= (1 - share) * len(asked), "\n".join(map(str, failed))
    assert np.median([o.iou for o in asked]) > 0.95


def test_exact_inverse_on_curved_texts():
    outcomes = db_round_trip(rendered_curved_texts(16), unclip="exact", polygon_mode=True)
    assert len(outcomes) > 40 and not exceptions(outcomes)
    published = db_round_trip(rendered_curved_texts(16), unclip_ratio=2.0, polygon_mode=True)
    assert len(exceptions(published)) > 0.4 * len(published)
