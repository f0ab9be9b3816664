"""Four corners of any polygon, in its own reading order."""

from collections import Counter

import numpy as np
import pytest
from shapely.geometry import Polygon

from vlpt_d2.data.conversion import _quadrilateral
from vlpt_d2.data.datasets.file_format import to_quad
from vlpt_d2.structures import quadrilateral


def arc(turn=0.0):
    """A word on an arc of nine points a side, turned about (200, 200) by an angle in radians."""
    angles = np.linspace(-2.2, -0.9, 9) + turn
    outer = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([100 * outer, 80 * outer[::-1]]) + 200


def test_a_curved_word_is_held_in_reading_order():
    quad = quadrilateral(arc())
    assert Polygon(quad).buffer(0.5).contains(Polygon(arc()))
    # The text is arched and nearly level: its top left is up and to the left.
    centre = quad.mean(axis=0)
    assert ((quad > centre) == [[False, False], [True, False], [True, True], [False, True]]).all()


@pytest.mark.parametrize("turn", np.linspace(0, 6, 7))
def test_the_reading_direction_turns_with_the_word(turn):
    polygon = arc(turn)
    quad = quadrilateral(polygon)
    # Along the reading direction, and from the outer side of the arc to the inner.
    assert np.dot(quad[1] - quad[0], polygon[8] - polygon[0]) > 0
    assert np.dot(quad[3] - quad[0], polygon[-1] - polygon[0]) > 0


def test_rings_that_run_the_other_way_stay_so():
    quad = quadrilateral(arc()[::-1])
    assert Polygon(quad).exterior.is_ccw == Polygon(arc()[::-1]).exterior.is_ccw
    first = np.linalg.norm(quad - arc()[-1], axis=1)
    assert first.argmin() == 0


def test_four_points_are_the_corners():
    quad = np.array([[0, 0], [4, 1], [4, 4], [0, 4]])
    assert quadrilateral(quad) is quad


def test_every_writer_gives_the_same_corners():
    ring = arc()
    expected = quadrilateral(ring)
    written = _quadrilateral({"segmentation": [ring.ravel().tolist()]}, Counter())
    np.testing.assert_allclose(written, expected)
    np.testing.assert_array_equal(to_quad(ring), np.rint(expected))
