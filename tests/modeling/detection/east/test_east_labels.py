"""EAST's target maps against hand-drawn cases and a slow implementation, cell by cell."""

import math

import cv2
import numpy as np
import pytest
import shapely

from vlpt_d2.modeling.detection.east.labels import draw_east_labels, shrink_quads
from vlpt_d2.modeling.detection.rectangles import (
    corners_from_distances,
    distances_to_sides,
    fit_rectangles,
    rectangle_corners,
)
from vlpt_d2.structures import TextInstances


def turned(centre, size, degrees):
    """Corners of a rectangle, from its top left on, turned clockwise on screen, (4, 2)."""
    w, h = size
    corners = np.array([(-w, -h), (w, -h), (w, h), (-w, h)]) / 2
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return corners @ np.array([(cos, sin), (-sin, cos)]) + centre


POLYGONS = {
    "rectangle": [(11, 9), (91, 9), (91, 48), (11, 48)],
    "quad": [(12.4, 20.3), (101.7, 9.6), (108.2, 44.1), (16.8, 60.9)],
    "trapezium": [(20, 30), (122, 8), (112, 76), (24, 62)],
    "tall quad": [(60.3, 8.2), (84.1, 10.7), (80.2, 93.3), (55.1, 90.2)],
    "counter-clockwise": [(12.4, 20.3), (16.8, 60.9), (108.2, 44.1), (101.7, 9.6)],
    "triangle": [(20, 80), (140, 75), (126, 12)],
    "five points": [(0, 30), (60, 20), (62, 70), (10, 78), (0, 76)],
    "curved": [(20, 60), (45, 40), (80, 32), (115, 42), (138, 62), (126, 82), (80, 56), (32, 82)],
    "over the border": [(-20, 30), (60, 20), (62, 70), (-18, 80)],
}


def slow_shrink(quad, ratio=0.3):
    """The rule of the paper, a corner and a side at a time."""
    p = [np.array(x, float) for x in quad]

    def length(i):
        return float(np.linalg.norm(quad[(i + 1) % 4] - quad[i]))

    r = [min(length(i), length(i - 1)) for i in range(4)]
    first = (0, 2) if length(0) + length(2) > length(1) + length(3) else (1, 3)
    for sides in (first, (1 - first[0], 3 - first[0])):
        moved = list(p)
        for i in sides:
            j = (i + 1) % 4
            angle = math.atan2(p[j][1] - p[i][1], p[j][0] - p[i][0])
            along = np.array([math.cos(angle), math.sin(angle)])
            moved[i] = p[i] + ratio * r[i] * along
            moved[j] = p[j] - ratio * r[j] * along
        p = moved
    return np.array(p)


def distance_to_line(point, a, b):
    (ax, ay), (bx, by) = a, b
    return abs((bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax)) / math.dist(a, b)


def slow_maps(polygon, size):
    """Every cell by itself: point in polygon by shapely, distances to four lines."""
    polygon = np.asarray(polygon, float)
    envelope = np.asarray(shapely.oriented_envelope(shapely.Polygon(polygon)).exterior.coords)[:4]
    shape = shapely.Polygon(slow_shrink(polygon if len(polygon) == 4 else envelope))
    # Name the corners so that the side from the first to the second is the top one.
    for _ in range(4):
        side = envelope[1] - envelope[0]
        angle = math.atan2(side[1], side[0])
        if -math.pi / 4 <= angle < math.pi / 4:
            break
        envelope = np.roll(envelope, -1, axis=0)
    if np.cross(np.append(side, 0), np.append(envelope[2] - envelope[1], 0))[2] < 0:
        envelope = envelope[[3, 2, 1, 0]]
        side = envelope[1] - envelope[0]
        angle = math.atan2(side[1], side[0])
    text = np.zeros((size[0] // 4, size[1] // 4), np.uint8)
    geometry = np.zeros((5, *text.shape))
    unsure = np.zeros(text.shape, bool)
    for i in range(text.shape[0]):
        for j in range(text.shape[1]):
            point = (4 * j + 2, 4 * i + 2)
            unsure[i, j] = shape.exterior.distance(shapely.Point(point)) < 1e-3
            if shape.contains(shapely.Point(point)):
                text[i, j] = 1
                for k in range(4):
                    line = envelope[k], envelope[(k + 1) % 4]
                    geometry[k, i, j] = distance_to_line(point, *line)
                geometry[4, i, j] = angle
    return text, geometry, unsure


@pytest.mark.parametrize("name", POLYGONS)
def test_maps_equal_per_cell_distances(name):
    polygon, size = np.asarray(POLYGONS[name], np.float32), (100, 152)
    maps = draw_east_labels(TextInstances([polygon]), size)
    text, geometry, unsure = slow_maps(polygon, size)
    assert text.sum() > 10 and unsure.sum() <= 8
    np.testing.assert_array_equal(maps["text"][~unsure], text[~unsure])
    np.testing.assert_allclose(
        maps["geometry"][:, ~unsure], geometry[:, ~unsure], atol=2e-3, err_msg=name
    )
    assert (maps["text_mask"] == 1).all()
    assert maps["text"].dtype == maps["text_mask"].dtype == np.uint8
    assert maps["geometry"].dtype == np.float32 and maps["geometry"].flags.c_contiguous


def test_hand_drawn_rectangle():
    # 48 x 24 at (8, 8): corners move in by 0.3 * 24 = 7.2, to [15.2, 48.8] x [15.2, 24.8]. Cell
    # centres lie at 2, 6, 10, ...: columns 18 to 46, rows 18 and 22.
    rectangle = np.array([(8, 8), (56, 8), (56, 32), (8, 32)], np.float32)
    maps = draw_east_labels(TextInstances([rectangle]), (40, 64))
    expected = np.zeros((10, 16), np.uint8)
    expected[4:6, 4:12] = 1
    np.testing.assert_array_equal(maps["text"], expected)
    # The cell at (18, 22): 14 below the top, 38 from the right, 10 from the bottom, 10 from left.
    np.testing.assert_allclose(maps["geometry"][:, 5, 4], [14, 38, 10, 10, 0], atol=1e-4)
    assert not maps["geometry"][:, expected == 0].any()


def test_sizes_that_the_stride_does_not_divide():
    maps = draw_east_labels(TextInstances([]), (33, 46))
    assert maps["text"].shape == maps["text_mask"].shape == (9, 12)
    assert maps["geometry"].shape == (5, 9, 12)
    assert not maps["text"].any() and maps["text_mask"].all()


@pytest.mark.parametrize("degrees", range(0, 360, 15))
@pytest.mark.parametrize("angle_range", [45, 90])
def test_every_rotation(degrees, angle_range):
    quad = turned((100, 96), (110, 40), degrees)
    maps = draw_east_labels(TextInstances([quad]), (192, 200), angle_range=angle_range)
    cells = maps["text"] > 0
    angles = maps["geometry"][4][cells]
    # One angle for the text, in range, along one of its sides: that of the reading direction where
    # the range can tell it.
    assert np.ptp(angles) == 0
    angle = math.degrees(angles[0])
    assert -angle_range - 0.01 <= angle < angle_range
    period = 90 if angle_range == 45 else 180
    assert abs((angle - degrees + period / 2) % period - period / 2) < 0.01
    # Every cell gives the rectangle back.
    rows, columns = np.nonzero(cells)
    points = np.stack([columns, rows], axis=1) * 4 + 2.0
    corners = corners_from_distances(
        points, maps["geometry"][:4, rows, columns].T.astype(float), angles.astype(float)
    )
    assert np.abs(corners - corners[0]).max() < 1e-3
    distance = np.linalg.norm(corners[0][:, None] - quad[None], axis=2)
    assert distance.min(axis=1).max() < 1e-3


@pytest.mark.parametrize("size", [(60, 24), (24, 60), (40, 39)])
@pytest.mark.parametrize("degrees", [0, 5, -30, 80, 100, 180, 271])
def test_reading_direction_of_a_quad(size, degrees):
    """With 90 degrees of range the width is along the points 0 and 1, also where it is shorter."""
    quad = turned((100, 100), size, degrees)
    flipped = quad[[1, 0, 3, 2]]  # a mirrored image: still the same line of text
    for points in (quad, flipped):
        centres, sizes, angles = fit_rectangles([points], 90)
        np.testing.assert_allclose(sizes[0], size, atol=1e-3)
        np.testing.assert_allclose(centres[0], (100, 100), atol=1e-3)
        assert abs((math.degrees(angles[0]) - degrees + 90) % 180 - 90) < 0.01


def test_polygons_without_a_reading_direction_run_along_their_long_side():
    for degrees in (0, 30, 60, 91, 135):
        ring = turned((100, 100), (30, 80), degrees)
        ring = np.insert(ring, 2, ring[1:3].mean(axis=0), axis=0)
        _, sizes, angles = fit_rectangles([ring], 90)
        np.testing.assert_allclose(sizes[0], (80, 30), atol=1e-3)
        assert abs((math.degrees(angles[0]) - degrees) % 180 - 90) < 0.01


def test_upright_text_has_one_angle_whatever_the_rounding():
    rng = np.random.default_rng(0)
    for angle_range, degrees in ((90, 90), (45, 45)):
        quads = [
            turned((50, 50), (60, 20), degrees) + rng.normal(0, 1e-5, (4, 2)) for _ in range(50)
        ]
        angles = fit_rectangles(quads, angle_range)[2]
        np.testing.assert_allclose(np.degrees(angles), -angle_range, atol=0.01)


def test_rectangles_far_from_the_origin_are_as_exact():
    quad = turned((20000.3, 10000.7), (61.7, 20.2), 33)
    corners = rectangle_corners(*fit_rectangles([quad]))[0]
    assert np.abs(corners - quad).max() < 1e-3


def test_distances_and_corners_are_inverse():
    rng = np.random.default_rng(1)
    for _ in range(20):
        centre, size, angle = rng.uniform(0, 99, 2), rng.uniform(5, 99, 2), rng.uniform(-2, 2)
        points = rng.uniform(0, 99, (7, 2))
        distances = distances_to_sides(points, centre, size, angle)
        corners = corners_from_distances(points, distances, np.full(7, angle))
        expected = turned(centre, size, math.degrees(angle))
        np.testing.assert_allclose(corners, np.broadcast_to(expected, (7, 4, 2)), atol=1e-9)


def test_shrinking_equals_the_slow_rule():
    rng = np.random.default_rng(2)
    quads = np.array([turned((0, 0), rng.uniform(5, 80, 2), a) for a in range(0, 360, 7)])
    quads += rng.normal(0, 1.5, quads.shape)
    expected = [slow_shrink(quad) for quad in quads]
    np.testing.assert_allclose(shrink_quads(quads), expected, atol=1e-9)
    np.testing.assert_allclose(shrink_quads(quads, 0.0), quads, atol=1e-12)


@pytest.mark.parametrize(
    ("polygon", "ignore"),
    [
        pytest.param([(11, 11), (51, 11), (51, 31), (11, 31)], True, id="don't care"),
        pytest.param([(11, 11), (51, 11), (51, 20), (11, 20)], False, id="9 px high"),
        pytest.param(turned((30, 20), (40, 9), 20), False, id="9 px high, turned"),
        pytest.param([(8, 8), (60, 8), (60, 17), (30, 17), (8, 17)], False, id="five points"),
    ],
)
def test_what_is_ignored_draws_only_the_mask(polygon, ignore):
    polygon = np.asarray(polygon, np.float32)
    maps = draw_east_labels(TextInstances([polygon], np.array([ignore])), (40, 64))
    assert not maps["text"].any() and not maps["geometry"].any()
    shape = shapely.Polygon(polygon)
    for i in range(10):
        for j in range(16):
            inside = shape.contains(shapely.Point(4 * j + 2, 4 * i + 2))
            assert maps["text_mask"][i, j] == (not inside)
    assert not maps["text_mask"].all()


def test_ten_pixels_high_is_text():
    polygon = np.array([(10, 10), (50, 10), (50, 20), (10, 20)], np.float32)
    maps = draw_east_labels(TextInstances([polygon]), (40, 64))
    assert maps["text"].any() and maps["text_mask"].all()


def test_every_text_of_the_least_size_has_a_cell():
    """Its shrunk middle of 4 px may lie between the centres of the cells."""
    for degrees in range(0, 90, 5):
        for x, y in ((32.0, 32.0), (33.1, 32.7), (34.0, 34.0)):
            polygon = turned((x, y), (10.01, 10.01), degrees)
            maps = draw_east_labels(TextInstances([polygon]), (64, 64))
            assert 1 <= maps["text"].sum() <= 4 and maps["text_mask"].all()
            distances = maps["geometry"][:4, maps["text"] > 0]
            assert (distances > 0).all()
            np.testing.assert_allclose(distances[0] + distances[2], 10.01, atol=1e-3)


def test_the_smaller_text_wins_where_two_overlap():
    large = np.array([(8, 8), (120, 8), (120, 88), (8, 88)], np.float32)
    small = np.array([(40, 40), (100, 40), (100, 60), (40, 60)], np.float32)
    alone = draw_east_labels(TextInstances([small]), (96, 128))
    cells = alone["text"] > 0
    assert cells.sum() > 20
    for polygons in ([large, small], [small, large]):
        maps = draw_east_labels(TextInstances(polygons), (96, 128))
        np.testing.assert_array_equal(maps["geometry"][:, cells], alone["geometry"][:, cells])
        rest = (maps["text"] > 0) & ~cells
        np.testing.assert_allclose((maps["geometry"][0] + maps["geometry"][2])[rest], 80, atol=0.1)


def test_what_is_ignored_within_a_text_is_masked():
    text = np.array([(8, 8), (120, 8), (120, 88), (8, 88)], np.float32)
    hole = np.array([(40, 40), (100, 40), (100, 60), (40, 60)], np.float32)
    maps = draw_east_labels(TextInstances([text, hole], np.array([False, True])), (96, 128))
    assert maps["text"][12, 15] == 1 and maps["text_mask"][12, 15] == 0
    assert maps["text_mask"].sum() == maps["text_mask"].size - 15 * 5


def test_texts_outside_or_without_a_point_draw_nothing():
    far = np.array([(200, 200), (250, 200), (250, 250), (200, 250)], np.float32)
    maps = draw_east_labels(TextInstances([far, np.zeros((0, 2))]), (40, 64))
    assert not maps["text"].any() and maps["text_mask"].all()


def test_clipped_text_has_the_rectangle_of_what_is_left():
    """A turned word cut by the border has five points, and its label stays within the image."""
    word = shapely.Polygon(turned((42, 40), (90, 24), 20))
    left = np.asarray(word.intersection(shapely.box(0, 0, 128, 96)).exterior.coords)[:-1]
    assert len(left) == 5
    maps = draw_east_labels(TextInstances([left]), (96, 128))
    rows, columns = np.nonzero(maps["text"])
    assert len(rows) > 5
    box = cv2.boxPoints(cv2.minAreaRect(left.astype(np.float32)))
    geometry = maps["geometry"][:, rows[0], columns[0]].astype(float)
    point = np.array([[columns[0] * 4 + 2.0, rows[0] * 4 + 2.0]])
    corners = corners_from_distances(point, geometry[None, :4], geometry[4:])[0]
    distance = np.linalg.norm(corners[:, None] - box[None], axis=2)
    assert distance.min(axis=1).max() < 1e-2


def test_wrong_input_is_told():
    with pytest.raises(ValueError, match="ANGLE_RANGE is one of .*60"):
        draw_east_labels(TextInstances([np.eye(4)[:, :2]]), (8, 8), angle_range=60)
