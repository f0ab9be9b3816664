"""The two sides of texts, and pixels in order along an axis, against shapes that are known."""

from itertools import pairwise

import numpy as np
import pytest
import shapely

from vlpt_d2.modeling.detection.text_axis import (
    TextSides,
    average_along,
    outline,
    positions_along,
)

SHARES = np.linspace(0, 1, 5)


def arc(centre, radius, width, start, stop, count=7):
    """A ring of 2 * count points from angle to angle (degrees), the outer side first."""
    angles = np.radians(np.linspace(start, stop, count))
    ways = np.column_stack([np.cos(angles), np.sin(angles)])
    outer, inner = ways * (radius + width / 2), ways[::-1] * (radius - width / 2)
    return np.concatenate([outer, inner]) + centre


def test_sides_of_a_rectangle_are_its_long_ones_either_way():
    ring = np.array([(10, 20), (90, 20), (90, 40), (10, 40)], float)
    for turn in range(4):
        for points in (np.roll(ring, turn, axis=0), np.roll(ring[::-1], turn, axis=0)):
            axis = TextSides(points).pairs(SHARES)
            np.testing.assert_allclose(axis.centre, [(x, 30) for x in (10, 30, 50, 70, 90)])
            np.testing.assert_allclose(axis.direction, [(1, 0)] * 5)
            np.testing.assert_allclose(axis.radius, 10)
            assert axis.length == pytest.approx(80)
            # Standing, it is the same downwards.
            axis = TextSides(points[:, ::-1]).pairs(SHARES)
            np.testing.assert_allclose(axis.centre, [(30, y) for y in (10, 30, 50, 70, 90)])
            np.testing.assert_allclose(axis.direction, [(0, 1)] * 5)


def test_reading_order_keeps_the_top_of_tall_and_turned_words():
    letter = np.array([(10, 20), (20, 20), (20, 60), (10, 60)], float)
    for points, way in ((letter, (1, 0)), (letter[::-1], (1, 0)), (-letter, (-1, 0))):
        axis = TextSides(points, reading_order=True).pairs(SHARES)
        np.testing.assert_allclose(axis.first[[0, -1]], points[:2])
        np.testing.assert_allclose(axis.second[[0, -1]], points[[3, 2]])
        np.testing.assert_allclose(axis.direction, [way] * 5)


def test_letters_that_stand_on_one_another_are_read_downwards():
    column = np.array([(10, 20), (20, 20), (20, 90), (10, 90)], float)
    axis = TextSides(column, reading_order=True).pairs(SHARES)
    np.testing.assert_allclose(axis.first[[0, -1]], column[1:3])
    np.testing.assert_allclose(axis.direction, [(0, 1)] * 5)


@pytest.mark.parametrize("turn", [0, 90, 200])
@pytest.mark.parametrize("span", [60, 170, 300])
def test_sides_of_arcs(span, turn):
    ring = arc((200, 200), 100, 40, turn - span / 2, turn + span / 2, 9)
    for points in (ring, np.roll(ring, 5, axis=0), ring[::-1]):
        axis = TextSides(points).pairs(np.linspace(0, 1, 33))
        radii = np.linalg.norm(axis.centre - 200, axis=1)
        np.testing.assert_allclose(radii, 100, rtol=0.06)
        np.testing.assert_allclose(axis.radius, 20, rtol=0.06)
    # Of a ring that is read, the first side is the one that the first point starts.
    axis = TextSides(ring, reading_order=True).pairs(np.linspace(0, 1, 9))
    np.testing.assert_allclose(axis.first, ring[:9], atol=1e-9)
    np.testing.assert_allclose(axis.second, ring[:8:-1], atol=1e-9)


def test_cut_and_degenerate_polygons_have_sides():
    corner_cut = np.array([(10, 20), (80, 20), (90, 30), (90, 40), (10, 40)], float)
    axis = TextSides(corner_cut).pairs(SHARES)
    assert axis.centre[0] == pytest.approx((10, 30)) and axis.centre[-1, 0] > 80
    triangle = np.array([(0, 0), (60, 0), (0, 10)], float)
    assert TextSides(triangle).pairs(SHARES).length > 50
    for points in (np.zeros((4, 2)), np.array([(0, 0), (9, 0), (9, 0), (0, 0)], float)):
        axis = TextSides(points).pairs(SHARES)
        assert np.isfinite(axis.centre).all() and np.isfinite(axis.radius).all()


def spiral(count=2500, seed=0):
    """Points around two turns of a spiral, their directions either way, and their arc lengths."""
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 4 * np.pi, count))
    radius = 60 + 10 * angle
    along = np.cumsum(np.diff(angle, prepend=0) * np.hypot(radius, 10))
    way = np.column_stack([-np.sin(angle), np.cos(angle)])
    out = np.column_stack([np.cos(angle), np.sin(angle)])
    tangent = radius[:, None] * way + 10 * out
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    points = out * (radius + rng.uniform(-3, 3, count))[:, None] + 300
    # The prediction turns over half-way, and is off by some degrees.
    noise = rng.normal(0, 0.1, (count, 2))
    signs = np.where(along > 0.7 * along[-1], -1.0, 1.0)[:, None]
    return points, signs * (tangent + noise), along, tangent


def test_positions_follow_two_turns_of_a_spiral_and_regions_do_not_mix():
    points, directions, along, tangent = spiral()
    order = np.random.default_rng(1).permutation(len(points))
    line = np.column_stack([np.arange(50.0), np.full(50, 300.0)])  # across the spiral
    right = np.tile((1.0, 0.0), (50, 1))
    found, ways = positions_along(
        np.concatenate([points[order], line]),
        np.concatenate([directions[order], right]),
        np.array([0, len(points)]),
        np.array([8.0, 4.0]),
    )
    offset = found[: len(points)] - along[order]
    assert np.abs(offset - np.median(offset)).max() < 0.01 * along[-1]
    assert ((ways[: len(points)] * tangent[order]).sum(axis=1) > 0.8).all()
    np.testing.assert_allclose(np.diff(found[len(points) :]), 1, atol=1e-9)


def test_regions_that_thinning_parted_have_positions():
    points = np.array([(0.0, 0), (1, 0), (50, 0), (51, 0)])
    found, _ = positions_along(points, np.tile((1.0, 0), (4, 1)), np.array([0]), np.array([2.0]))
    assert np.isfinite(found).all()


def test_averages_equal_a_loop():
    rng = np.random.default_rng(0)
    positions, values = rng.uniform(-5, 40, 300), rng.normal(size=(300, 3))
    starts, steps = np.array([0, 120, 130]), np.array([4.0, 100.0, 7.0])
    stretches = average_along(positions, values, starts, steps)
    for i, (start, stop) in enumerate(((0, 120), (120, 130), (130, 300))):
        at, rows = positions[start:stop], values[start:stop]
        number = max(1, round(np.ptp(at) / steps[i]))
        edges = np.linspace(at.min(), at.max(), number + 1)
        edges[-1] += 1
        means = [rows[(at >= a) & (at < b)].mean(axis=0) for a, b in pairwise(edges)]
        found = stretches.means[stretches.starts[i] : stretches.starts[i + 1]]
        np.testing.assert_allclose(found, means)
        first, last = at[at < edges[1]].mean(), at[at >= edges[-2]].mean()
        assert stretches.overhang[i] == pytest.approx((first - at.min(), at.max() - last))


def test_sides_that_cross_have_a_simple_outline():
    first = np.array([(10, 10), (60, 10), (60, 40), (20, 40)], float)
    second = first + np.array((0, 12))
    second[2] -= (20, 0)
    ring = outline(first, second)
    whole = shapely.union_all([shapely.convex_hull(shapely.MultiPoint(np.concatenate(
        [first[i : i + 2], second[i : i + 2]]))) for i in range(3)])  # fmt: skip
    found = shapely.Polygon(ring)
    assert found.is_valid and found.area > 0.9 * whole.area
    assert shapely.Polygon(outline(first[:2], second[:2])).area == 50 * 12
