"""Many borders at once: against shapely, and odd rings against those of one polygon."""

import numpy as np
import shapely
from helpers.polygons import random_polygon

from vlpt_d2.modeling.detection.borders import Borders
from vlpt_d2.modeling.detection.raster import signed_distance

SIZE = (70, 90)


def test_equal_to_shapely():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    centres = shapely.points(x, y)
    polygons = [random_polygon(rng, corners) for corners in 3 * (3, 4, 5, 14, 40)]
    margins = rng.uniform(1, 12, len(polygons))
    borders = Borders(polygons, margins, SIZE)
    np.testing.assert_array_equal(borders.sides, [np.ptp(ring, axis=0) for ring in polygons])
    for i, (ring, margin) in enumerate(zip(polygons, margins)):
        shape, window = shapely.Polygon(ring), borders.windows[i]
        rest = np.ones(SIZE, bool)
        rest[window] = False
        assert (shapely.distance(shape, centres[rest]) > margin).all()
        np.testing.assert_array_equal(borders.inside(i), shapely.contains(shape, centres[window]))
        found, expected = borders.distance(i), shapely.distance(shape.exterior, centres[window])
        asked = expected <= margin
        np.testing.assert_allclose(found[asked], expected[asked], atol=1e-4)
        assert (found[~asked] > margin).all()


def test_odd_rings_equal_one_by_one():
    """Rings that cross themselves, repeat a point, or are elsewhere."""
    rng = np.random.default_rng(1)
    ring = random_polygon(rng, 4)
    polygons = [rng.uniform(-10, 100, (9, 2)), np.repeat(ring, 2, axis=0), ring + 300]
    margins = rng.uniform(1, 12, len(polygons))
    borders = Borders(polygons, margins, SIZE)
    for i, (ring, margin) in enumerate(zip(polygons, margins)):
        window, expected = signed_distance(ring, margin, SIZE, reach=margin)
        assert borders.windows[i] == window
        np.testing.assert_array_equal(borders.inside(i), expected > 0)
        np.testing.assert_array_equal(borders.distance(i), np.abs(expected))
    assert Borders([], np.zeros(0), SIZE).windows == []
