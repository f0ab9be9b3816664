"""DB's target maps against hand-drawn cases and against shapely, pixel by pixel."""

import numpy as np
import pytest
import shapely

from vlpt_d2.modeling.detection.db.labels import draw_db_labels
from vlpt_d2.structures import TextInstances

CURVED = [(20, 60), (45, 40), (80, 32), (115, 42), (138, 62), (126, 82), (108, 66), (80, 56)]
CURVED += [(52, 64), (32, 82)]
POLYGONS = {
    "rectangle": [(10, 10), (90, 10), (90, 50), (10, 50)],
    "quad": [(12.4, 20.3), (101.7, 9.6), (108.2, 44.1), (16.8, 60.9)],
    "small": [(30.2, 30.7), (58.4, 33.1), (57.5, 42.6), (29.3, 40.2)],
    "counter-clockwise": [(12.4, 20.3), (16.8, 60.9), (108.2, 44.1), (101.7, 9.6)],
    "curved": CURVED,
    "large": [(10.4, 12.2), (140.3, 8.1), (143.7, 92.5), (6.2, 95.9)],  # D = 21
    "over the image's border": [(-20, 30), (60, 20), (62, 70), (-18, 80)],
    "on whole pixels": [(20, 20), (20, 60), (60, 60), (60, 50), (90, 50), (90, 20)],
    "far longer than the image": [(-900, 20.2), (2000, 31.4), (2000, 71.4), (-900, 60.2)],
    "repeated points": [(10, 10), (90, 10), (90, 10), (90, 50), (10, 50), (10, 10)],
}


def slow_maps(polygon, size, ratio=0.4):
    """Signed distance of every pixel centre to the polygon's border, the slow way."""
    shape = shapely.Polygon(polygon)
    offset = shape.area * (1 - ratio**2) / shape.length
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    centres = shapely.points(x.ravel(), y.ravel())
    distance = shapely.distance(shape.exterior, centres).reshape(size)
    inside = shapely.contains(shape, centres).reshape(size)
    return distance, inside, offset


@pytest.mark.parametrize("name", POLYGONS)
def test_maps_equal_per_pixel_distances(name):
    polygon, size = np.asarray(POLYGONS[name], np.float32), (100, 150)
    maps = draw_db_labels(TextInstances([polygon]), size)
    distance, inside, offset = slow_maps(polygon, size)
    near = inside | (distance <= offset)
    ramp = 0.3 + 0.4 * np.clip(1 - distance / offset, 0, 1)
    # Only a pixel whose distance is D to the last digit may fall on either side.
    sure = np.abs(distance - offset) > 1e-4
    shrunk = inside & (distance > offset)
    assert shrunk[sure].any()
    np.testing.assert_array_equal(maps["text"][sure] > 0, shrunk[sure])
    np.testing.assert_array_equal(maps["threshold_mask"][sure] > 0, near[sure])
    np.testing.assert_allclose(maps["threshold"], ramp, atol=1e-5)
    assert (maps["text_mask"] == 1).all()


def test_hand_drawn_rectangle():
    # 41 x 21: D = 861 * 0.84 / 124 = 5.83, so the shrunk text is [15.83, 45.17] x [15.83, 25.17].
    rectangle = np.array([(10, 10), (51, 10), (51, 31), (10, 31)], np.float32)
    maps = draw_db_labels(TextInstances([rectangle]), (40, 64))
    expected = np.zeros((40, 64), np.uint8)
    expected[16:25, 16:45] = 1
    np.testing.assert_array_equal(maps["text"], expected)
    assert maps["text"].dtype == maps["threshold_mask"].dtype == np.uint8
    assert maps["threshold"].dtype == np.float32
    assert maps["threshold"].min() == pytest.approx(0.3)
    assert maps["threshold"].max() == pytest.approx(0.7, abs=0.05)  # half a pixel away


@pytest.mark.parametrize(
    ("polygon", "ignore"),
    [
        pytest.param([(10, 10), (50, 10), (50, 30), (10, 30)], True, id="don't care"),
        pytest.param([(10, 10), (50, 10), (50, 17), (10, 17)], False, id="7 px high"),
        pytest.param([(10, 10), (30, 29.98), (30, 30), (10, 10.02)], False, id="area below 1"),
    ],
)
def test_what_is_ignored_draws_only_the_mask(polygon, ignore):
    maps = draw_db_labels(
        TextInstances([np.asarray(polygon, np.float32)], np.array([ignore])), (40, 64)
    )
    assert not maps["text"].any() and not maps["threshold_mask"].any()
    assert maps["text_mask"][20, 20] == 0 or not ignore
    assert (maps["text_mask"] == 0).any()
    assert maps["text_mask"][35:].all() and maps["text_mask"][:, 55:].all()


def test_eight_pixels_high_is_text():
    polygon = np.array([(10, 10), (50, 10), (50, 18), (10, 18)], np.float32)
    maps = draw_db_labels(TextInstances([polygon]), (40, 64))
    assert maps["text"].any() and maps["text_mask"].all()


def test_vanishing_text_is_ignored():
    # Two arms, 3 px wide: big bounding box and area, and D = 1.46 leaves a line of 0.08 px in the
    # middle of each, between the pixels' centres.
    polygon = np.array([(10, 10), (60, 10), (60, 13), (13, 13), (13, 60), (10, 60)], np.float32)
    polygon += 0.5
    maps = draw_db_labels(TextInstances([polygon]), (70, 70), shrink_ratio=0.01)
    assert not maps["text"].any() and not maps["threshold_mask"].any()
    assert maps["text_mask"][11, 40] == 0 and maps["text_mask"][40, 11] == 0


def test_no_polygons_and_polygons_elsewhere():
    for polygons in ([], [np.array([(200, 200), (250, 200), (250, 250)], np.float32)]):
        maps = draw_db_labels(TextInstances(polygons), (33, 47))
        assert not maps["text"].any() and maps["text_mask"].all()
        assert (maps["threshold"] == np.float32(0.3)).all()
        assert all(m.shape == (33, 47) for m in maps.values())


def test_neighbours_merge_by_the_higher_threshold():
    first = np.array([(10, 10), (50, 10), (50, 30), (10, 30)], np.float32)
    second = first + np.array((44, 0), np.float32)
    alone = [draw_db_labels(TextInstances([p]), (40, 110)) for p in (first, second)]
    both = draw_db_labels(TextInstances([first, second]), (40, 110))
    np.testing.assert_allclose(
        both["threshold"], np.maximum(alone[0]["threshold"], alone[1]["threshold"])
    )
    np.testing.assert_array_equal(both["text"], alone[0]["text"] | alone[1]["text"])
