"""TextSnake's target maps against hand-drawn cases and a slow drawing, pixel by pixel."""

import numpy as np
import pytest
import shapely

from vlpt_d2.modeling.detection.text_axis import TextSides
from vlpt_d2.modeling.detection.textsnake.labels import draw_snake_labels
from vlpt_d2.structures import TextInstances

CURVED = [(20, 60), (45, 40), (80, 32), (115, 42), (138, 62), (126, 82), (108, 66), (80, 56)]
CURVED += [(52, 64), (32, 82)]
POLYGONS = {
    "quad": [(12.4, 20.3), (101.7, 9.6), (108.2, 44.1), (16.8, 60.9)],
    "vertical": [(40.2, 5.1), (61.7, 8.3), (55.2, 95.1), (34.9, 92.2)],
    "small": [(30.2, 30.7), (58.4, 33.1), (57.5, 42.6), (29.3, 40.2)],
    "curved": CURVED,
    "cut by the border": [(-20, 30), (60, 20), (62, 70), (-18, 80)],
    "5 px high": [(30.3, 30.2), (70.1, 30.4), (70.2, 35.3), (30.1, 35.1)],
}


def slow_maps(polygon, size):
    """Text and centre line of every pixel by shapely, with the nearest of many pairs of points."""
    ring = np.asarray(polygon, float) / 2
    y, x = np.mgrid[: -(-size[0] // 2), : -(-size[1] // 2)] + 0.5
    pixels = shapely.points(x, y)
    text = shapely.contains(shapely.Polygon(ring), pixels)
    sides = TextSides(ring)
    whole = sides.pairs(np.linspace(0, 1, 400))
    low, high = 0.5 * whole.radius[[0, -1]] / whole.length
    axis = sides.pairs(np.linspace(low, 1 - high, 400))
    half = np.maximum(0.3 * axis.radius, 0.75)[:, None]
    across = half * (axis.second - axis.first) / (2 * axis.radius[:, None])
    strip = np.concatenate([axis.centre - across, (axis.centre + across)[::-1]])
    inner, outer = (shapely.Polygon(strip).buffer(d) for d in (-0.3, 0.3))
    nearest = np.hypot(x[..., None] - axis.centre[:, 0], y[..., None] - axis.centre[:, 1])
    nearest = nearest.argmin(axis=2)
    values = np.stack([2 * axis.radius[nearest], *axis.direction[nearest].transpose(2, 0, 1)])
    return text, shapely.contains(inner, pixels), shapely.contains(outer, pixels), values


@pytest.mark.parametrize("name", POLYGONS)
def test_maps_equal_a_slow_drawing(name):
    polygon, size = np.asarray(POLYGONS[name], np.float32), (99, 150)
    maps = draw_snake_labels(TextInstances([polygon]), size)
    text, certain, possible, values = slow_maps(polygon, size)
    np.testing.assert_array_equal(maps["text"], text)
    line = maps["centre"] > 0
    assert line.any() and line[certain].all() and not line[~possible].any()
    found = np.float32(maps["geometry"])
    radius = values[0]
    # Pairs are half a radius apart.
    np.testing.assert_allclose(found[0][line], radius[line], rtol=0.12)
    assert ((found[1:] * values[1:]).sum(axis=0)[line] > 0.95).all()
    assert not found[:, ~line].any() and maps["text_mask"].all()


def test_hand_drawn_rectangle():
    # 80 x 20: a radius of 10; the line reaches from x = 15.5 to 85.5, and from y = 28 to 34.
    ring = np.array([(10.5, 21), (90.5, 21), (90.5, 41), (10.5, 41)])
    maps = draw_snake_labels(TextInstances([ring]), (60, 100))
    expected = np.zeros((30, 50), np.uint8)
    expected[14:17, 8:43] = 1  # centres of pixels at 29 to 33, and at 17 to 85
    np.testing.assert_array_equal(maps["centre"], expected)
    np.testing.assert_array_equal(
        maps["geometry"], np.stack([10 * expected, expected, 0 * expected])
    )
    assert maps["text"].sum() == 40 * 10


def test_what_is_ignored_or_has_no_line_draws_only_the_mask():
    ring = np.array([(10.0, 20), (60, 20), (60, 40), (10, 40)])
    dot = np.array([(80.1, 20.1), (80.9, 20.1), (80.9, 20.9), (80.1, 20.9)])
    maps = draw_snake_labels(TextInstances([ring, dot], [True, False]), (60, 100))
    assert not maps["text"].any() and not maps["centre"].any() and not maps["geometry"].any()
    assert not maps["text_mask"][10:20, 5:30].any() and maps["text_mask"].sum() >= 30 * 50 - 251
    both = draw_snake_labels(TextInstances([ring, ring + 10], [False, True]), (60, 100))
    # Over a text, too, nothing is learnt of what is ignored.
    assert both["text"][17, 15] and not both["text_mask"][17, 15]


def test_where_lines_cross_the_smaller_text_wins():
    large = np.array([(10.0, 20), (110, 20), (110, 60), (10, 60)])
    small = np.array([(54.0, 5), (66, 5), (66, 75), (54, 75)])
    for rings in ([large, small], [small, large]):
        maps = draw_snake_labels(TextInstances(rings), (80, 120))
        assert maps["geometry"][:, 20, 30].tolist() == [6, 0, 1]
        assert maps["geometry"][:, 20, 40].tolist() == [20, 1, 0]


def test_empty_images_and_polygons_elsewhere():
    for polygons in ([], [np.array([(200.0, 200), (250, 200), (250, 250)])], [np.zeros((2, 2))]):
        maps = draw_snake_labels(TextInstances(polygons), (33, 47))
        assert maps["text_mask"].all() and not maps["text"].any() and not maps["centre"].any()
        assert all(m.shape[-2:] == (17, 24) for m in maps.values())
