"""SegLink's target maps against hand-drawn cases and a slow implementation, cell by cell."""

import math

import cv2
import numpy as np
import pytest
import shapely
from helpers.slow_seglink import STRIDES, slow_labels

from vlpt_d2.modeling.detection.rectangles import text_rectangles
from vlpt_d2.modeling.detection.seglink.labels import draw_seglink_labels
from vlpt_d2.structures import TextInstances

SIZE = (150, 200)


def turned(centre, size, degrees):
    """Corners of a rectangle, from its top left on, turned clockwise on screen, (4, 2)."""
    w, h = size
    corners = np.array([(-w, -h), (w, -h), (w, h), (-w, h)]) / 2
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return corners @ np.array([(cos, sin), (-sin, cos)]) + centre


def segments_of(maps, level):
    """{(row, column): (x, y, width, height, cos, sin)} of a level's maps."""
    stride = STRIDES[level]
    side = 1.5 * stride
    found = {}
    for row, column in np.argwhere(maps[f"text_{stride}"]).tolist():
        dx, dy, dw, dh, cos, sin = maps[f"geometry_{stride}"][:, row, column].tolist()
        x, y = (column + 0.5) * stride + side * dx, (row + 0.5) * stride + side * dy
        found[row, column] = (x, y, side * math.exp(dw), side * math.exp(dh), cos, sin)
    return found


@pytest.mark.parametrize("degrees", [0, 20, -45, 89, 90, 150, 180])
@pytest.mark.parametrize("size", [(120, 30), (70, 13), (20, 17), (140, 90)])
def test_segments_equal_the_slow_ones(size, degrees):
    box = turned((101.3, 72.6), size, degrees)
    maps = draw_seglink_labels(TextInstances([box]), SIZE)
    drawn = 0
    for level in range(len(STRIDES)):
        expected, found = slow_labels(box, SIZE, level), segments_of(maps, level)
        assert found.keys() == expected.keys()
        for cell, (*numbers, theta) in expected.items():
            numbers += [math.cos(2 * theta), math.sin(2 * theta)]
            np.testing.assert_allclose(found[cell], numbers, rtol=1e-4, atol=2e-3)
        drawn += len(found)
    assert drawn and all(maps[f"text_mask_{stride}"].all() for stride in STRIDES)


def test_hand_drawn_word():
    # 40 x 16 at (18, 14): on level 8, with boxes of 12 px, and on level 16, with boxes of 24.
    word = np.array([(18, 14), (58, 14), (58, 30), (18, 30)])
    maps = draw_seglink_labels(TextInstances([word]), (64, 64))
    expected = np.zeros((8, 8), int)
    expected[2:4, 2:7] = 1  # centres at 20 and 28 down, 20 to 52 across
    np.testing.assert_array_equal(maps["text_8"], expected)
    expected = np.zeros((4, 4), int)
    expected[1, 1:] = 1
    np.testing.assert_array_equal(maps["text_16"], expected)
    assert not maps["text_32"].any() and not maps["text_256"].any()
    # The cell at (36, 20): the box from 30 to 42, 16 high about 22.
    geometry = [0, 2 / 12, 0, math.log(16 / 12), 1, 0]
    np.testing.assert_allclose(maps["geometry_8"][:, 2, 4], geometry, atol=1e-6)
    # The cell at (20, 20), at the end of the word: from 18 to 26.
    geometry = [2 / 12, 2 / 12, math.log(8 / 12), math.log(16 / 12), 1, 0]
    np.testing.assert_allclose(maps["geometry_8"][:, 2, 2], geometry, atol=1e-6)


def test_the_closest_in_height_has_the_cell():
    # On level 16 (boxes of 24 px) 24 is closer than 34; on level 32 (of 48) only 34 fits.
    large, small = turned((90, 70), (140, 34), 0), turned((90, 70), (60, 24), 0)
    for texts in ([large, small], [small, large]):
        number = 1 + [t is small for t in texts].index(True)
        maps = draw_seglink_labels(TextInstances(texts), SIZE)
        alone = draw_seglink_labels(TextInstances([small]), SIZE)["text_16"] > 0
        assert alone.any() and (maps["text_16"][alone] == number).all()
        assert set(np.unique(maps["text_32"])) == {0, 3 - number}


def test_a_text_between_the_cells_gets_the_one_under_its_middle():
    # 20 high fits level 16 only, whose centres are at 24 and 40.
    text = turned((32.5, 40.3), (12, 20), 0)
    maps = draw_seglink_labels(TextInstances([text]), SIZE)
    assert {s: int((maps[f"text_{s}"] > 0).sum()) for s in STRIDES} == {
        8: 0, 16: 1, 32: 0, 64: 0, 128: 0, 256: 0,
    }  # fmt: skip
    ((x, y, width, height, *_),) = segments_of(maps, 1).values()
    np.testing.assert_allclose((x, y, width, height), (32.5, 40.3, 12, 20), atol=1e-4)


@pytest.mark.parametrize("ignore", [True, False], ids=["ignored", "too low"])
def test_what_is_not_learnt_draws_only_the_masks(ignore):
    ring = turned((90, 70), (90, 30) if ignore else (90, 7), 10)
    maps = draw_seglink_labels(TextInstances([ring], [ignore]), SIZE)
    shape = shapely.Polygon(ring)
    for stride in STRIDES:
        assert not maps[f"text_{stride}"].any() and not maps[f"geometry_{stride}"].any()
        mask = maps[f"text_mask_{stride}"]
        for row, column in np.ndindex(mask.shape):
            point = shapely.Point((column + 0.5) * stride, (row + 0.5) * stride)
            assert mask[row, column] == (not shape.contains(point))


def test_an_ignored_text_over_another_and_degenerate_ones():
    text, over = turned((90, 70), (140, 34), 0), turned((90, 70), (40, 20), 0)
    pixel = [(150, 20), (151, 20), (151, 21), (150, 21)]
    outside = turned((300, 300), (60, 20), 0)
    rings = [text, over, np.array(pixel, float), np.zeros((0, 2)), outside]
    maps = draw_seglink_labels(TextInstances(rings, [False, True, False, False, False]), SIZE)
    assert maps["text_16"][4, 5] == 1 and maps["text_mask_16"][4, 5] == 0
    assert set(np.unique(maps["text_8"])) | set(np.unique(maps["text_16"])) == {0, 1}


def test_sizes_of_the_maps():
    maps = draw_seglink_labels(TextInstances([]), (33, 46))
    for stride in STRIDES:
        grid = (-(-33 // stride), -(-46 // stride))
        assert maps[f"text_{stride}"].shape == maps[f"text_mask_{stride}"].shape == grid
        assert maps[f"geometry_{stride}"].shape == (6, *grid)


def test_the_direction_of_a_text():
    """Reading direction of quadrilaterals, unless they are lines of stacked characters."""
    curved = cv2.ellipse2Poly((90, 90), (60, 40), 0, 200, 340, 20).astype(float)
    band = np.concatenate([curved, (curved - (90, 90))[::-1] * 0.6 + (90, 90)])
    polygons = [turned((9, 9), (20, 30), 10), turned((9, 9), (20, 50), 10), band]
    _, sizes, angles = text_rectangles(polygons)
    np.testing.assert_allclose(sizes[:2], [(20, 30), (50, 20)], atol=1e-3)
    np.testing.assert_allclose(np.degrees(angles[:2]), [10, 100], atol=1e-2)
    assert sizes[2, 0] > sizes[2, 1]
