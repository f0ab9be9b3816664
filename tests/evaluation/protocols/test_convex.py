"""Areas of convex quadrilaterals against shapely, and decisions at the threshold itself."""

import numpy as np
import pytest
import shapely

from vlpt_d2.evaluation.protocols import PROTOCOLS, Protocol, register_protocol
from vlpt_d2.evaluation.protocols.convex import is_convex, shared_areas, signed_areas
from vlpt_d2.evaluation.protocols.pairs import measure_pairs


def convex_quads(rng, count, grid, step):
    quads = rng.integers(0, grid, (count, 4, 2)) * step
    quads = quads[is_convex(quads)]
    backward = signed_areas(quads) < 0
    quads[backward] = quads[backward, ::-1]
    return quads


# Small grids are full of shared edges and corners; steps of 0.1 have no exact coordinates.
@pytest.mark.parametrize("step", [1.0, 0.1, 0.123456789])
@pytest.mark.parametrize("grid", [3, 6, 1000])
def test_areas_are_those_of_shapely(grid, step):
    rng = np.random.default_rng(grid)
    first, second = (convex_quads(rng, 5000, grid, step) for _ in range(2))
    count = min(len(first), len(second))
    first, second = first[:count], second[:count]
    shapes = shapely.polygons(first), shapely.polygons(second)
    areas, unclear = shared_areas(first, second)
    np.testing.assert_allclose(signed_areas(first), shapely.area(shapes[0]), rtol=1e-12)
    expected = shapely.area(shapely.intersection(*shapes))
    np.testing.assert_allclose(areas[~unclear], expected[~unclear], rtol=1e-9, atol=1e-9 * step**2)
    assert unclear.mean() == 0 if step == 1 else unclear.mean() < 0.4
    if step == 1:
        assert ((areas == 0) == (expected == 0)).all()


def test_convex_is_what_shapely_finds_convex():
    quads = np.random.default_rng(0).integers(0, 6, (3000, 4, 2)).astype(float)
    shapes = shapely.polygons(quads)
    hulls = shapely.convex_hull(shapes)
    corners = shapely.get_num_coordinates(hulls) == 5
    expected = shapely.is_valid(shapes) & corners & shapely.equals(shapes, hulls)
    assert (is_convex(quads) == expected).all()
    assert not is_convex(np.full((1, 4, 2), np.nan)).any()


def test_many_images_are_measured_as_one_by_one():
    rng = np.random.default_rng(1)
    sides = [
        [list(rng.integers(0, 9, (n, 4, 2)) / 2.0) for n in rng.integers(0, 6, 60)] for _ in "ab"
    ]
    marks = [rng.random(len(row)) < 0.3 for row in sides[0]]
    whole = measure_pairs(sides[0], marks, sides[1])
    gts, dets = whole.shapes
    expected = {
        (g, d)
        for g in range(len(gts))
        for d in range(len(dets))
        if whole.gt_image[g] == whole.det_image[d] and gts[g].intersection(dets[d]).area > 0
    }
    assert set(zip(whole.gt.tolist(), whole.det.tolist())) == expected
    for name in ("icdar2015", "ctw1500-psenet", "td500-psenet", "tiou"):
        together, _ = PROTOCOLS[name].match_images(sides[0], marks, sides[1], [None] * 60)
        assert together == list(map(PROTOCOLS[name].match_image, sides[0], marks, sides[1])), name


def test_an_iou_of_a_half_is_decided_as_by_shapely():
    # Squares that share two thirds of their sides: 2/3 over 4/3.
    for size, angle in ((3.0, 0.0), (0.3, 0.0), (0.3, 0.7), (33.1, 0.3)):
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        box = np.array([[0, 0], [size, 0], [size, size], [0, size]])
        gt, det = box @ turn, (box + np.array([size / 3, 0])) @ turn
        one, other = shapely.Polygon(gt), shapely.Polygon(det)
        shared = one.intersection(other).area
        expected = shared / (one.area + other.area - shared)
        assert measure_pairs([[gt]], [[False]], [[det]]).iou.tolist() == [expected]


def test_a_protocol_of_ones_own(monkeypatch):
    monkeypatch.delitem(PROTOCOLS, "mine", raising=False)
    match = PROTOCOLS["icdar2015"].match_image
    register_protocol(Protocol("mine", "my rules", match=match))
    with pytest.raises(ValueError, match="already"):
        register_protocol(Protocol("mine", "my rules", match=match))
    from vlpt_d2.evaluation import TextEvaluator

    assert TextEvaluator(dataset_name="x", protocol="mine").evaluate() == {}
    monkeypatch.delitem(PROTOCOLS, "mine")
