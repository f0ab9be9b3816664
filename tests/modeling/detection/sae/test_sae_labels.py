"""SAE's target maps against offset polygons of shapely and hand-drawn cases."""

import numpy as np
import pytest
import shapely

from vlpt_d2.modeling.detection.sae.labels import draw_sae_labels
from vlpt_d2.structures import TextInstances

BAND = [(8, 40), (30, 22), (60, 20), (88, 36), (80, 50), (58, 36), (34, 38), (16, 52)]
CASES = {
    "quad": [(12.4, 20.3), (91.7, 9.6), (88.2, 34.1), (16.8, 50.9)],
    "counter-clockwise": [(12.4, 20.3), (16.8, 50.9), (88.2, 34.1), (91.7, 9.6)],
    "curved": BAND,
    "vertical": [(40.2, 3.1), (55.3, 4.4), (53.1, 58.2), (38.6, 57.7)],
    "cut by the border": [(-20, 30.5), (30, 20.5), (33, 55.5), (-18, 70.5)],
}


def draw(rings, ignore=None, size=(61, 99)):
    return draw_sae_labels(TextInstances([np.float32(r) for r in rings], ignore), size)


@pytest.mark.parametrize("name", CASES)
def test_maps_equal_offset_polygons(name):
    ring = np.float32(np.add(CASES[name], (0.31, 0.17)))
    maps, shape = draw([ring]), shapely.Polygon(ring.astype(float))
    y, x = 2 * np.mgrid[:31, :50] + 1
    # The text goes on outside the image, and is not shrunk there.
    shrunk = shape.buffer(-shape.area * (1 - 0.49) / shape.length, quad_segs=64)
    np.testing.assert_array_equal(maps["text"], shapely.contains_xy(shape, x, y))
    sure = shapely.distance(shrunk.boundary, shapely.points(x, y)) > 5e-3
    expected = shapely.contains_xy(shrunk, x, y)
    np.testing.assert_array_equal(maps["centre"][sure], expected[sure])
    assert maps["text_mask"].all() and 0.3 < maps["centre"].sum() / maps["text"].sum() < 0.7


def test_numbers_and_centres_where_texts_overlap():
    rings = [[(10, 10), (20, 10), (20, 20), (10, 20)], [(0, 0), (80, 0), (80, 40), (0, 40)]]
    rings += [[(60, 20), (90, 20), (90, 60), (60, 60)]]
    maps = draw(rings, [False, False, True])
    text = np.zeros((31, 50), np.int16)
    text[:20, :40] = 2
    text[5:10, 5:10] = 1
    np.testing.assert_array_equal(maps["text"], text)
    # 10 x 10 shrinks by 1.275, 80 x 40 by 6.8 px: centres of cells from 3 and from 7 px on.
    centre = np.zeros((31, 50), np.uint8)
    centre[4:16, 4:36] = 1
    centre[5:10, 5:10] = 0
    centre[6:9, 6:9] = 1
    centre[3:17, 3:4] = centre[3:17, 36:37] = 1
    centre[3:4, 3:37] = centre[16:17, 3:37] = 1
    np.testing.assert_array_equal(maps["centre"], centre)
    assert (maps["text_mask"] == 0).sum() == 15 * 20
    (boxes,) = maps.pop("boxes")
    # The ignored one covers a corner of the second, whose other cells reach as far.
    assert boxes.tolist() == [[5, 5, 10, 10], [0, 0, 40, 20], [0, 0, 0, 0]]
    assert boxes.dtype == np.float32
    assert {k: m.dtype.name for k, m in maps.items()} == {
        "text": "int16",
        "centre": "uint8",
        "text_mask": "uint8",
    }


def test_a_text_of_one_row_is_all_centre():
    maps = draw([[(10, 10.2), (30, 10.2), (30, 11.9), (10, 11.9)]])
    assert maps["text"].sum() == 10 and (maps["centre"] == maps["text"]).all()


@pytest.mark.parametrize("rings", [[], [[(200, 200), (250, 200), (250, 250)]], [[(3, 3), (9, 9)]]])
def test_nothing_to_draw(rings):
    maps = draw(rings)
    assert maps["text_mask"].shape == (31, 50) and maps["text_mask"].all()
    assert not maps["text"].any() and not maps["centre"].any()
    assert not maps["boxes"][0].any() and maps["boxes"][0].shape == (len(rings), 4)
