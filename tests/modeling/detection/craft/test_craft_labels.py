"""CRAFT's target maps against hand-drawn cases and a slow implementation, pixel by pixel."""

from itertools import pairwise

import numpy as np
import pytest
from helpers.slow_craft import affinity_quad, gaussian_of

from vlpt_d2.modeling.detection.craft.labels import draw_craft_labels, split_evenly
from vlpt_d2.structures import TextInstances

SIZE = (61, 90)
GRID = (31, 45)


def box(x0, y0, x1, y1):
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float)


def turned(quad, degrees):
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    centre = quad.mean(axis=0)
    return (quad - centre) @ np.array([(cos, sin), (-sin, cos)]) + centre


def word_of(quads):
    """A word's polygon and its characters."""
    return np.array([quads[0][0], quads[-1][1], quads[-1][2], quads[0][3]]), np.array(quads)


@pytest.mark.parametrize("degrees", [0, 25, 180])
def test_maps_equal_the_slow_ones(degrees):
    shape = box(10, 14, 74, 38)
    quads = [box(10, 14, 24, 38), box(24, 14, 50, 38), box(54, 16, 74, 36)]
    both = turned(np.concatenate([shape, *quads]), degrees).reshape(-1, 4, 2)
    texts = TextInstances([both[0]], words=["abc"], characters=[both[1:]])
    maps = draw_craft_labels(texts, SIZE)
    links = [affinity_quad(a, b) for a, b in pairwise(both[1:])]
    for name, quads in (("region", both[1:]), ("affinity", links)):
        assert maps[name].shape == GRID and maps[name].dtype == np.float32
        for row, column in list(np.ndindex(GRID))[::5]:
            # The affinity boxes here are parallelograms but for their mean sides.
            expected = max(gaussian_of(parallel(quad), row, column) for quad in quads)
            assert maps[name][row, column] == pytest.approx(expected, abs=1e-4), (name, row)
        assert maps[name].max() > 0.9
    assert (maps["weight"] == 1).all()


def parallel(quad):
    """The parallelogram of the mean sides of a quadrilateral."""
    a, b, c, d = quad
    centre, right, down = quad.mean(axis=0), (b - a + c - d) / 4, (d - a + c - b) / 4
    return np.array(
        [centre + i * right + j * down for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    )


def test_a_square_by_hand():
    # 16 x 16 about (24, 24), with a pixel's centre at (23, 23): 1/8 of the half sides away.
    square = box(16, 16, 32, 32)
    texts = TextInstances([square], words=["A"], characters=[square[None]])
    maps = draw_craft_labels(texts, SIZE)
    assert maps["region"][11, 11] == pytest.approx(np.exp(-2 / 64 / 0.72), abs=1e-5)
    # On the border it is about exp(-1 / 0.72) = 0.249, and it ends at 1.5 half sides.
    assert maps["region"][11, 8] > 0.249 > maps["region"][11, 7]
    assert maps["region"][11, 6] > 0 == maps["region"][11, 5]
    assert not maps["affinity"].any()


def test_weights():
    rings = [box(4, 4, 30, 20), box(34, 4, 60, 20), box(4, 30, 30, 46), box(50, 10, 80, 40)]
    quads = np.array([box(4, 4, 17, 20), box(17, 4, 30, 20)])
    none = np.zeros((0, 4, 2))
    texts = TextInstances(
        rings,
        [False, False, False, True],
        ["ab", "ab", "", "###"],
        [quads, none, none, none],
        confidence=[0.8, 1.0, 1.0, 1.0],
    )
    maps = draw_craft_labels(texts, SIZE)
    weight = maps["weight"]
    assert weight[6, 8] == np.float32(0.8)  # found characters
    assert weight[6, 20] == weight[18, 8] == 0.5  # guessed ones
    assert weight[6, 28] == weight[12, 35] == 0  # ignored, also over another text
    assert weight[28, 2] == 1
    # As many characters as letters, and squares without any.
    assert peaks(maps["region"][2:10, 17:28]) == 2 and peaks(maps["region"][15:23, 2:15]) == 2


def peaks(region):
    row = region.max(axis=0)
    return int(((row[1:-1] >= row[:-2]) & (row[1:-1] > row[2:]) & (row[1:-1] > 0.5)).sum())


def test_even_split():
    quad = np.array([(0, 0), (40, 4), (40, 20), (0, 10)], float)
    quads = split_evenly(quad, 4)
    np.testing.assert_allclose(quads[1], [(10, 1), (20, 2), (20, 15), (10, 12.5)])
    assert len(split_evenly(box(0, 0, 60, 20), 0)) == 3
    # A vertical line is split along its long side, a tall letter is not.
    upright = box(0, 0, 10, 60)
    assert [np.ptp(q, axis=0).tolist() for q in split_evenly(upright, 3)] == [[10, 20]] * 3
    np.testing.assert_array_equal(split_evenly(upright, 1)[0], upright)
    five = np.array([(0, 0), (30, 0), (60, 0), (60, 20), (0, 20)], float)
    np.testing.assert_allclose(np.ptp(split_evenly(five, 2)[0], axis=0), (30, 20), atol=1e-3)


def test_links_of_characters_one_below_the_other():
    quads = [box(20, 4, 40, 24), box(20, 24, 40, 44)]
    texts = TextInstances([box(20, 4, 40, 44)], words=["ab"], characters=[np.array(quads)])
    affinity = draw_craft_labels(texts, SIZE)["affinity"]
    # 2 / 3 of the width, between the middles: about (30, 24), 20 high.
    expected = [
        gaussian_of(box(30 - 20 / 3, 14, 30 + 20 / 3, 34), r, c) for r, c in np.ndindex(GRID)
    ]
    np.testing.assert_allclose(affinity, np.reshape(expected, GRID), atol=1e-5)


def test_what_cannot_be_drawn():
    pixel, outside = box(5, 5, 6, 6), box(200, 200, 240, 220)
    flat = np.array([(10, 10), (40, 10), (40, 10), (10, 10)], float)
    texts = TextInstances([pixel, outside, flat, np.zeros((0, 2))], words=["a", "ab", "ab", ""])
    maps = draw_craft_labels(texts, SIZE)
    assert all(np.isfinite(m).all() for m in maps.values())
    assert not maps["region"][8:].any()
    empty = draw_craft_labels(TextInstances([]), SIZE)
    assert not empty["region"].any() and not empty["affinity"].any() and empty["weight"].all()


def test_characters_cut_by_the_border_are_drawn_in_part():
    quads = np.array([box(-20, 10, 0, 30), box(0, 10, 20, 30)])
    texts = TextInstances([box(0, 10, 20, 30)], words=["ab"], characters=[quads])
    maps = draw_craft_labels(texts, SIZE)
    assert maps["region"][10, 5] > 0.9 and maps["affinity"][10, 0] > 0.9
