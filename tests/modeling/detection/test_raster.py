"""Distances and insides of polygons against shapely, pixel by pixel."""

import numpy as np
import pytest
import shapely

from vlpt_d2.modeling.detection.raster import distance_to_border

SIZE = (70, 90)


def random_polygon(rng, corners):
    """A star-shaped ring about a point that may lie outside the image."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(5, 40, corners)
    directions = np.column_stack([np.cos(angles), np.sin(angles)])
    return directions * radii[:, None] + rng.uniform(-10, 100, 2)


@pytest.mark.parametrize("corners", [3, 4, 5, 14, 40])
def test_equal_to_shapely(corners):
    rng = np.random.default_rng(corners)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    centres = shapely.points(x, y)
    for _ in range(5):
        polygon = random_polygon(rng, corners)
        shape = shapely.Polygon(polygon)
        expected = shapely.distance(shape.exterior, centres)
        window, inside, distance = distance_to_border(polygon, 8.0, SIZE)
        np.testing.assert_allclose(distance, expected[window], atol=1e-4)
        np.testing.assert_array_equal(inside, shapely.contains(shape, centres)[window])
        rest = np.ones(SIZE, bool)
        rest[window] = False
        assert not shapely.contains(shape, centres)[rest].any() and (expected[rest] > 8).all()

        near = distance_to_border(polygon, 8.0, SIZE, reach=3.0)[2]
        asked = expected[window] <= 3.0
        np.testing.assert_allclose(near[asked], expected[window][asked], atol=1e-4)
        assert (near[~asked] > 3.0).all()


def test_even_odd_rule_where_a_ring_crosses_itself():
    # The middle of a pentagram is encircled twice.
    angles = np.radians(90 + 144 * np.arange(5))
    star = 30 * np.column_stack([np.cos(angles), -np.sin(angles)]) + (45.0, 35.0)
    window, inside, _ = distance_to_border(star, 0.0, SIZE)
    full = np.zeros(SIZE, bool)
    full[window] = inside
    assert not full[35, 45]
    assert full[10, 45] and full[28, 25] and full[28, 65]


def test_a_polygon_elsewhere_has_an_empty_window():
    window, inside, distance = distance_to_border(
        np.array([(200, 9), (240, 9), (220, 30)]), 5, SIZE
    )
    assert inside.size == 0 and inside.shape == distance.shape == np.zeros(SIZE)[window].shape
