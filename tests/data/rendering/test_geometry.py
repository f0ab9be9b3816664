import cv2
import numpy as np
import pytest

from vlpt_d2.data.rendering.geometry import Warp, draw_warp


def _warp(radius=0.0, seed=0):
    warp = draw_warp(
        np.random.default_rng(seed),
        (20.0, 120.0),
        14.0,
        1.3,
        rotation=15.0,
        perspective=0.25,
        shear=0.15,
        stretch=(0.8, 1.25),
    )
    return Warp(warp.matrix, radius)


@pytest.mark.parametrize("radius", [0.0, 70.0, -70.0])
@pytest.mark.parametrize("seed", range(4))
def test_inverse_undoes_forward(radius, seed):
    warp = _warp(radius, seed).moved(100, 50)
    points = np.random.default_rng(seed).uniform((-60, -12), (60, 12), (50, 2))
    np.testing.assert_allclose(warp.inverse(warp.forward(points)), points, atol=1e-6)


def test_arc_keeps_lengths_along_the_baseline_and_bends_the_right_way():
    arched = Warp(np.eye(3), 50.0)
    xs = np.linspace(-40, 40, 2001)
    curve = arched.forward(np.stack([xs, np.zeros_like(xs)], axis=1))
    assert np.linalg.norm(np.diff(curve, axis=0), axis=1).sum() == pytest.approx(80, rel=1e-4)
    # Like a rainbow: the ends are lower (larger y) than the middle; below the arc lies its centre.
    assert curve[0, 1] > curve[1000, 1] == pytest.approx(0)
    np.testing.assert_allclose(np.linalg.norm(curve - (0, 50), axis=1), 50)
    bowl = Warp(np.eye(3), -50.0)
    assert bowl.forward(np.array([[40.0, 0.0]]))[0, 1] < 0
    # What is above the baseline stays above it, either way.
    for warp in (arched, bowl):
        assert warp.forward(np.array([[0.0, -5.0]]))[0, 1] == pytest.approx(-5)


def test_straight_polygon_is_the_quadrilateral_clockwise_from_top_left():
    polygon = Warp(np.eye(3)).moved(10, 20).polygon(np.array([-3.0, -2.0, 3.0, 2.0]))
    np.testing.assert_allclose(polygon, [[7, 18], [13, 18], [13, 22], [7, 22]])


@pytest.mark.parametrize("radius", [60.0, -60.0])
def test_curved_polygon_follows_the_arc(radius):
    warp = _warp(radius)
    box = np.array([-50.0, -8.0, 40.0, 9.0])
    polygon = warp.polygon(box)
    assert len(polygon) > 8
    xs = np.linspace(box[0], box[2], 500)
    for y in (box[1], box[3]):
        edge = warp.forward(np.stack([xs, np.full_like(xs, y)], axis=1))
        distances = [
            abs(cv2.pointPolygonTest(polygon.astype(np.float32), point.tolist(), True))
            for point in edge
        ]
        assert max(distances) < 0.5


@pytest.mark.parametrize("radius", [0.0, 90.0, -90.0])
def test_mask_is_drawn_where_its_points_are_mapped(radius):
    mask = np.zeros((31, 101), np.uint8)
    spots = np.array([[10, 5], [50, 15], [90, 25], [85, 6]])
    for column, row in spots:
        mask[row - 2 : row + 3, column - 2 : column + 3] = 255
    warp = _warp(radius, seed=3).moved(150, 120)
    drawn = warp.warp_mask(mask, 40, 30, 260, 200)
    count, _, _, centres = cv2.connectedComponentsWithStats((drawn > 127).astype(np.uint8))
    assert count == 5
    # Centres of pixels lie half a pixel into them.
    expected = warp.forward(spots + 0.5 - np.array([101, 31]) / 2) - (40.5, 30.5)
    for point in expected:
        assert np.linalg.norm(centres[1:] - point, axis=1).min() < 0.6
