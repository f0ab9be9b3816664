"""Distances and insides of polygons against shapely, pixel by pixel."""

import cv2
import numpy as np
import pytest
import shapely
from helpers.polygons import random_polygon

from vlpt_d2.modeling.detection.raster import (
    growth,
    pixel_counts,
    pixels_inside,
    signed_distance,
)

SIZE = (70, 90)


@pytest.mark.parametrize("corners", [3, 4, 5, 14, 40])
def test_equal_to_shapely(corners):
    rng = np.random.default_rng(corners)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    centres = shapely.points(x, y)
    kinds = set()
    for turn in range(12):
        polygon = random_polygon(rng, corners)[:: 1 if turn % 2 else -1]
        shape = shapely.Polygon(polygon)
        kinds.add(shape.convex_hull.equals(shape))
        inside = shapely.contains(shape, centres)
        expected = np.where(inside, 1, -1) * shapely.distance(shape.exterior, centres)

        window, found = signed_distance(polygon, 8.0, SIZE)
        asked = expected[window] >= -8.0
        np.testing.assert_allclose(found[asked], expected[window][asked], atol=1e-4)
        assert (found[~asked] < -8.0).all()
        rest = np.ones(SIZE, bool)
        rest[window] = False
        assert (expected[rest] < -8.0).all()

        near = signed_distance(polygon, 8.0, SIZE, reach=3.0)[1]
        asked = np.abs(expected[window]) <= 3.0
        np.testing.assert_allclose(near[asked], expected[window][asked], atol=1e-4)
        assert (np.abs(near[~asked]) > 3.0).all()
        assert ((near > 0) == inside[window]).all()

        window, within = signed_distance(polygon, 0.0, SIZE)
        np.testing.assert_array_equal(within > 0, inside[window])
        np.testing.assert_allclose(within[within > 0], expected[window][within > 0], atol=1e-4)
        window, found = pixels_inside(polygon, SIZE)
        np.testing.assert_array_equal(found, inside[window])
    # Convex ones, which are computed in another way, and others.
    assert corners != 4 or kinds == {True, False}


def test_even_odd_rule_where_a_ring_crosses_itself():
    # The middle of a pentagram is encircled twice.
    angles = np.radians(90 + 144 * np.arange(5))
    star = 30 * np.column_stack([np.cos(angles), -np.sin(angles)]) + (45.0, 35.0)
    bow = np.array([(10, 10), (80, 60), (80, 10), (10, 60)])
    for ring, outside, inside in (
        (star, (35, 45), [(10, 45), (28, 25), (28, 65)]),
        (bow, (12, 45), [(35, 15), (35, 75)]),
    ):
        window, depth = signed_distance(ring, 2.0, SIZE)
        full = np.full(SIZE, -1.0)
        full[window] = depth
        assert full[outside] < 0 and all(full[place] > 0 for place in inside)


def test_a_polygon_elsewhere_has_an_empty_window():
    window, depth = signed_distance(np.array([(200, 9), (240, 9), (220, 30)]), 5, SIZE)
    assert depth.size == 0 and depth.shape == np.zeros(SIZE)[window].shape


def test_degenerate_rings():
    for ring in ([(10, 10), (40, 10), (70, 10)], [(20, 20)] * 4, [(10, 10), (60, 40), (60, 40)]):
        depth = signed_distance(np.float32(ring), 4.0, SIZE)[1]
        assert np.isfinite(depth[np.abs(depth) < 4]).all() and not (depth > 1e-4).any()


@pytest.mark.parametrize("method", [cv2.CHAIN_APPROX_NONE, cv2.CHAIN_APPROX_SIMPLE])
def test_pixels_of_contours_are_counted(method):
    """Of blobs, lines, and a single pixel, which is one pixel and not one and a half."""
    rng = np.random.default_rng(0)
    masks = [np.zeros((20, 30), np.uint8) for _ in range(12)]
    masks[0][5, 5] = masks[1][7, 3:9] = 1
    masks[2][range(4, 9), range(2, 7)] = 1
    for mask in masks[3:]:
        for x, y, radius in rng.integers(4, 12, (3, 3)):
            cv2.circle(mask, (int(x) + 4, int(y)), int(radius) // 2, 1, -1)
    counted, contours = [], []
    for mask in masks:
        found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, method)
        for i, contour in enumerate(found):
            filled = cv2.drawContours(np.zeros_like(mask), found, i, 1, -1)
            contours.append(contour)
            counted.append(np.count_nonzero(filled))
    assert counted[:3] == [1, 6, 5]
    assert pixel_counts(contours).tolist() == counted
    assert pixel_counts([]).tolist() == []


def test_growth_gains_the_area():
    """A rectangle moved out, with pointed and with round corners, by shapely."""
    box = shapely.box(0, 0, 30, 7)
    areas = np.array([0.0, 5.0, 300.0])
    for corners, style in ((4.0, "mitre"), (np.pi, "round")):
        for area, way in zip(areas, growth(np.full(3, box.length), areas, corners)):
            grown = shapely.buffer(box, way, join_style=style, quad_segs=500)
            assert grown.area - box.area == pytest.approx(area, rel=1e-4, abs=1e-9)
