"""TextField's target maps against hand-drawn cases and a search for every cell's nearest border."""

import numpy as np
import pytest
from helpers.textfield_by_pixel import labels_by_pixel

from vlpt_d2.modeling.detection.textfield.labels import draw_textfield_labels
from vlpt_d2.structures import TextInstances

BAND = [(8, 40), (30, 22), (60, 20), (88, 36), (80, 50), (58, 36), (34, 38), (16, 52)]
CASES = {
    "quad": [[(12.4, 20.3), (91.7, 9.6), (88.2, 34.1), (16.8, 50.9)]],
    "counter-clockwise": [[(12.4, 20.3), (16.8, 50.9), (88.2, 34.1), (91.7, 9.6)]],
    "curved": [BAND],
    "vertical": [[(40.2, 3.1), (55.3, 4.4), (53.1, 58.2), (38.6, 57.7)]],
    "triangle": [[(10.5, 12.5), (80.25, 20.125), (40.5, 50.75)]],
    "one cell": [[(20.2, 20.4), (21.9, 20.2), (21.7, 21.8), (20.3, 21.6)]],
    "cut by the border": [
        [(-20, 40), (30, 30), (33, 55), (-18, 80)],
        [(80, -5), (120, 9), (90, 20)],
    ],
    "overlapping": [
        BAND,
        [(40, 10), (70, 12), (66, 50), (44, 44)],
        [(50, 24), (60, 24), (60, 30), (50, 30)],
    ],
}


def texts(rings, ignore=None):
    return TextInstances([np.float32(r) for r in rings], ignore)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("ignored", [False, True])
def test_maps_equal_those_by_pixel(name, ignored):
    """Odd sides; the last text ignored or not."""
    # No cell's centre lies on a border.
    rings = [np.add(ring, (0.31, 0.17)) for ring in CASES[name]]
    given = texts(rings, [False] * (len(rings) - 1) + [ignored])
    maps, expected = draw_textfield_labels(given, (61, 99)), labels_by_pixel(given, (61, 99))
    np.testing.assert_array_equal(maps["text_mask"], expected["text_mask"])
    np.testing.assert_allclose(maps["text_weight"], expected["text_weight"], rtol=1e-5)
    gap = np.abs(maps["direction"] - expected["direction"]).max(axis=0)
    # As near to two sides as float32 can tell, it may point away from either.
    assert (gap > 1e-3).mean() < 0.005
    assert expected["direction"].any() or ignored
    assert {k: (m.dtype.name, m.shape[-2:]) for k, m in maps.items()} == {
        "direction": ("float16", (31, 50)),
        "text_weight": ("float32", (31, 50)),
        "text_mask": ("uint8", (31, 50)),
    }


def test_hand_drawn_rectangle():
    """6 x 4 cells: the ends point inwards, all else up or down; weights are 1 of a single text."""
    maps = draw_textfield_labels(texts([[(2, 2), (14, 2), (14, 10), (2, 10)]]), (12, 16))
    x, y = maps["direction"][:, 1:5, 1:7]
    # Corners are as near to either side; the first side of the ring counts: the upper one, for the
    # others the first of theirs.
    assert y[0, :].tolist() == [1, 1, 1, 1, 1, 1]
    assert y[3, 1:5].tolist() == [-1, -1, -1, -1]
    assert x[1:3, 0].tolist() == [1, 1] and x[1:3, 5].tolist() == [-1, -1]
    assert maps["text_weight"].sum() == 24 and set(maps["text_weight"].flat) == {0, 1}
    assert np.abs(maps["direction"]).sum() == 24 and maps["text_mask"].all()


def test_every_text_weighs_the_same():
    rings = [[(0, 0), (40, 0), (40, 20), (0, 20)], [(0, 30), (10, 30), (10, 40), (0, 40)]]
    rings += [[(50, 0), (60, 0), (60, 40), (50, 40)]]
    maps = draw_textfield_labels(texts(rings, [False, False, True]), (44, 64))
    # 200 and 25 cells, 112.5 in the mean; 100 ignored cells.
    weights = maps["text_weight"]
    assert weights[:10, :20].tolist() == [[0.5625] * 20] * 10
    assert weights[15:20, :5].tolist() == [[4.5] * 5] * 5 and weights.sum() == 225
    assert (maps["text_mask"] == 0).sum() == 100 and not maps["direction"][:, :, 25:].any()


@pytest.mark.parametrize("rings", [[], [[(200, 200), (250, 200), (250, 250)]], [[(3, 3), (9, 9)]]])
def test_nothing_to_draw(rings):
    maps = draw_textfield_labels(texts(rings), (33, 47))
    assert maps["text_mask"].shape == (17, 24) and maps["text_mask"].all()
    assert not maps["direction"].any() and not maps["text_weight"].any()
