"""TextDragon's target maps: by hand, against a slow drawing, and on texts that break naive ones."""

import numpy as np
import pytest
import shapely

from vlpt_d2.modeling.detection.text_axis import TextSides
from vlpt_d2.modeling.detection.textdragon.labels import draw_dragon_labels
from vlpt_d2.structures import TextInstances

CURVED = [(20, 60), (45, 40), (80, 32), (115, 42), (138, 62), (126, 82), (108, 66), (80, 56)]
CURVED += [(52, 64), (32, 82)]
POLYGONS = {
    "quad": [(12.4, 20.3), (101.7, 9.6), (108.2, 44.1), (16.8, 60.9)],
    "read downwards": [(61.7, 8.3), (55.2, 95.1), (34.9, 92.2), (40.2, 5.1)],
    "upside down": [(101.7, 59.6), (12.4, 60.3), (12.8, 30.9), (102.2, 34.1)],
    "tall letter": [(40.2, 10.1), (60.7, 10.3), (60.2, 70.1), (39.9, 70.2)],
    "curved": CURVED,
    "cut by the border": [(-20, 30), (60, 20), (62, 70), (-18, 80)],
}


@pytest.mark.parametrize("name", POLYGONS)
def test_boxes_equal_distances_to_the_sides(name):
    """The cell's normal meets the sides, and the axis ends, where the distances say."""
    polygon, size = np.asarray(POLYGONS[name], np.float32), (99, 150)
    maps = draw_dragon_labels(TextInstances([polygon]), size)
    rows, columns = np.nonzero(maps["text"])
    assert len(rows) >= 4 and maps["text_mask"].all()
    top, right, bottom, left, cos, sin = np.float32(maps["geometry"][:, rows, columns])
    cells = np.stack([columns + 0.5, rows + 0.5], axis=1) * 4
    down = np.stack([-sin, cos], axis=1)
    sides = TextSides(polygon, reading_order=True).pairs(np.linspace(0, 1, 400))
    first, second, axis = map(shapely.LineString, (sides.first, sides.second, sides.centre))
    radius = sides.radius.max()
    for line, points in (
        (first, cells - top[:, None] * down),
        (second, cells + bottom[:, None] * down),
    ):
        assert shapely.distance(line, shapely.points(points)).max() < 0.1 * radius
    at = shapely.line_locate_point(axis, shapely.points(cells))
    for found, expected in ((left, at), (right, axis.length - at)):
        capped = np.minimum(expected, 2 * sides.radius.mean())
        np.testing.assert_allclose(found, capped, atol=0.25 * radius)
    # The line is where TextSnake's is: near the axis, away from its ends.
    assert shapely.distance(axis, shapely.points(cells)).max() < max(0.35 * radius, 3.2)
    assert np.minimum(left, right).min() > 0.2 * min(radius, axis.length / 2)


def test_hand_drawn_rectangle():
    # 80 x 20 from (10, 22): a radius of 10, a line from x = 15 to 85 and y = 29 to 35.
    ring = np.array([(10.0, 22), (90, 22), (90, 42), (10, 42)])
    maps = draw_dragon_labels(TextInstances([ring]), (60, 100))
    expected = np.zeros((15, 25), np.uint8)
    expected[7:9, 4:21] = 1  # centres of cells at y = 30 and 34, x = 18 to 82
    np.testing.assert_array_equal(maps["text"], expected)
    assert maps["geometry"][:, 7, 4].tolist() == [8, 20, 12, 8, 1, 0]
    assert maps["geometry"][:, 8, 12].tolist() == [12, 20, 8, 20, 1, 0]
    assert maps["geometry"][:, 8, 20].tolist() == [12, 8, 8, 20, 1, 0]
    turned = draw_dragon_labels(TextInstances([np.roll(ring, 2, axis=0)]), (60, 100))
    assert turned["geometry"][:, 7, 4].tolist() == pytest.approx([12, 8, 8, 20, -1, 0], abs=1e-3)
    # Of a mirrored image the top is what lies above, seen in the direction of reading.
    mirrored = draw_dragon_labels(TextInstances([ring[[1, 0, 3, 2]]]), (60, 100))
    assert mirrored["geometry"][:, 7, 4].tolist() == pytest.approx([12, 8, 8, 20, -1, 0], abs=1e-3)


def test_what_is_ignored_or_has_no_cell_draws_only_the_mask():
    ring = np.array([(10.0, 20), (60, 20), (60, 40), (10, 40)])
    dot = np.array([(81.1, 21.1), (81.9, 21.1), (81.9, 21.9), (81.1, 21.9)])
    maps = draw_dragon_labels(TextInstances([ring, dot], [True, False]), (60, 100))
    assert not maps["text"].any() and not maps["geometry"].any()
    assert not maps["text_mask"][5:10, 3:15].any() and maps["text_mask"].sum() >= 15 * 25 - 66
    both = draw_dragon_labels(TextInstances([ring, ring + 8], [False, True]), (60, 100))
    assert both["text"][7, 8] and not both["text_mask"][7, 8]


def test_where_lines_cross_the_smaller_text_wins():
    large = np.array([(10.0, 20), (110, 20), (110, 60), (10, 60)])
    small = np.array([(66.0, 5), (66, 75), (54, 75), (54, 5)])
    for rings in ([large, small], [small, large]):
        geometry = draw_dragon_labels(TextInstances(rings), (80, 120))["geometry"]
        assert geometry[4:, 9, 14].tolist() == [0, 1] and geometry[4:, 9, 20].tolist() == [1, 0]


def test_empty_images_and_polygons_elsewhere():
    for polygons in ([], [np.array([(200.0, 200), (250, 200), (250, 250)])], [np.zeros((2, 2))]):
        maps = draw_dragon_labels(TextInstances(polygons), (33, 47))
        assert maps["text_mask"].all() and not maps["text"].any()
        assert all(m.shape[-2:] == (9, 12) for m in maps.values())
