"""repair_polygon: simple rings out of whatever comes in."""

import numpy as np
import pytest
from shapely.geometry import Polygon

from vlpt_d2.structures import repair_polygon

SQUARE = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], dtype=np.float32)


@pytest.mark.parametrize("ring", [SQUARE, SQUARE[::-1], SQUARE[:3]])
def test_sound_rings_stay_as_they_are(ring):
    repaired, fault = repair_polygon(ring)
    assert fault is None
    assert repaired.dtype == np.float32
    np.testing.assert_array_equal(repaired, ring)


def test_repeated_points():
    closed = SQUARE[[0, 1, 1, 2, 3, 0]]
    repaired, fault = repair_polygon(closed)
    assert fault == "repeated points"
    assert Polygon(repaired).equals(Polygon(SQUARE))


def test_corners_in_a_wrong_order():
    repaired, fault = repair_polygon(SQUARE[[0, 2, 1, 3]])
    assert fault == "self-crossing"
    assert Polygon(repaired).equals(Polygon(SQUARE))


def test_a_larger_ring_keeps_its_largest_part():
    """A 4 x 4 square and a small triangle that hang together at a crossing on the right side."""
    ring = np.array([[0, 0], [4, 0], [4, 2], [5, 3], [5, 1], [4, 2], [4, 4], [0, 4]])
    crossing = ring.astype(np.float64)
    crossing[2], crossing[5] = (3.9, 1.9), (3.9, 2.1)
    repaired, fault = repair_polygon(crossing)
    assert fault == "self-crossing"
    shape = Polygon(repaired)
    assert shape.is_valid
    assert shape.area == pytest.approx(16, abs=0.3)


@pytest.mark.parametrize(
    ("ring", "fault"),
    [
        (SQUARE[[0, 0, 0]], "no area"),
        (SQUARE[[0, 1, 0, 1]], "no area"),
        (np.array([[0, 0], [1, 1], [2, 2], [3, 3]]), "no area"),
        (np.zeros((0, 2)), "fewer than three points"),
        (np.array([[0, 0], [1, np.nan], [1, 1]]), "not finite"),
    ],
)
def test_without_repair(ring, fault):
    assert repair_polygon(ring) == (None, fault)


def test_random_rings_become_simple():
    rng = np.random.default_rng(0)
    faults = 0
    for _ in range(200):
        ring = rng.integers(0, 12, size=(rng.integers(3, 12), 2)).astype(np.float64)
        repaired, fault = repair_polygon(ring)
        faults += fault is not None
        if repaired is not None:
            assert Polygon(repaired).is_valid
            assert Polygon(repaired).area > 0
            assert Polygon(repaired).within(Polygon(ring).convex_hull.buffer(1e-6))
    assert 50 < faults < 200


def test_a_ring_that_is_noise_is_given_up(monkeypatch):
    noise = np.random.default_rng(0).random((500, 2)) * 1000
    monkeypatch.setattr("shapely.make_valid", None)  # minutes of work
    assert repair_polygon(noise) == (None, "crosses itself hundreds of times")


def test_many_points_are_no_fault():
    angles = np.linspace(0, 2 * np.pi, 5000, endpoint=False)
    circle = 100 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    circle[[10, 15]] = circle[[15, 10]]
    ring, fault = repair_polygon(circle)
    assert fault == "self-crossing"
    assert Polygon(ring).area == pytest.approx(np.pi * 100**2, rel=1e-3)
