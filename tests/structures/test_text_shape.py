"""Sides and bins of texts by hand."""

import math

import numpy as np
import pytest

from vlpt_d2.structures.text_shape import BINS, bin_index, bin_label, bins_of, sides


@pytest.mark.parametrize("degrees", [0, 20, 45, 70, 90, 135, 160])
def test_sides_of_turned_rectangles(degrees):
    turn = math.radians(degrees)
    matrix = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    ring = np.array([[0, 0], [40, 0], [40, 10], [0, 10]]) @ matrix + 50
    long, short, angle = sides(ring)
    assert (long, short) == pytest.approx((40, 10), abs=1e-3)
    assert angle == pytest.approx(min(degrees, 180 - degrees), abs=0.05)
    assert sides(ring.ravel().tolist()) == (long, short, angle)


def test_sides_of_what_has_no_area():
    assert sides([[1, 1], [np.nan, 2]]) == (0.0, 0.0, 0.0)
    assert sides([[0, 0], [3, 4], [3, 4]])[:2] == pytest.approx((5, 0))


def test_bins():
    lows = BINS["height"]
    assert [bin_index(lows, v) for v in (-1, 0, 7.9, 8, 95, 96, 1e9)] == [0, 0, 0, 1, 6, 7, 7]
    assert [bin_label(lows, i) for i in (0, 1, 7)] == ["0-8", "8-12", "96+"]
    lengths = BINS["length"]
    labels = [bin_label(lengths, i, whole=True) for i in range(len(lengths))]
    assert labels == ["1", "2", "3", "4-5", "6-7", "8-10", "11+"]


def test_bins_of_a_text():
    ring = np.array([[0, 0], [30, 0], [30, 10], [0, 10]])
    assert bins_of(ring, "sign") == {"height": 1, "aspect": 2, "orientation": 0, "length": 3}
    # A line is longer than it is high by any factor.
    assert bins_of(ring[:2], "") == {
        "height": 0,
        "aspect": len(BINS["aspect"]) - 1,
        "orientation": 0,
    }
