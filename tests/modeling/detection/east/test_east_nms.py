"""Locality-aware NMS against the algorithm as it is written down, on shapely's areas."""

import numpy as np
import pytest
import shapely
from helpers.sequential_merge import merge_sequentially

from vlpt_d2.modeling.detection.east import nms


def turned(centre, size, radians):
    w, h = size
    corners = np.array([(-w, -h), (w, -h), (w, h), (-w, h)]) / 2
    cos, sin = np.cos(radians), np.sin(radians)
    return corners @ np.array([(cos, sin), (-sin, cos)]) + centre


def slow_iou(a, b):
    a, b = shapely.Polygon(a), shapely.Polygon(b)
    return a.intersection(b).area / a.union(b).area


def slow_nms(corners, scores, thresh):
    """Row-major merge of neighbours by weighted corner means, then greedy suppression."""
    merged = []
    for box, score in zip(corners, scores):
        if merged and slow_iou(merged[-1][0], box) > thresh:
            last, total = merged[-1]
            rolls = [np.roll(box, -k, axis=0) for k in range(4)]
            box = min(rolls, key=lambda b: ((b - last) ** 2).sum())
            merged[-1] = ((last * total + box * score) / (total + score), total + score)
        else:
            merged.append((box, score))
    merged.sort(key=lambda item: -item[1])
    kept = []
    for box, score in merged:
        if all(slow_iou(box, other) <= thresh for other, _ in kept):
            kept.append((box, score))
    return kept


def texts_of_cells(rng, count, noise, size=(60, 90), spread=0.3):
    """Row-major candidates of ``count`` texts whose cells lie around their middles."""
    candidates = []
    for _ in range(count):
        centre = rng.uniform((10, 10), (4 * size[1], 4 * size[0]))
        width, height = rng.uniform(30, 80), rng.uniform(12, 30)
        angle = rng.uniform(-np.pi / 4, np.pi / 4)
        for x in np.arange(centre[0] - spread * width, centre[0] + spread * width, 4):
            for y in np.arange(centre[1] - spread * height, centre[1] + spread * height, 4):
                jitter = rng.normal(0, noise, 5)
                box = turned(
                    centre + jitter[:2] * 20,
                    (width * (1 + jitter[2]), height * (1 + jitter[3])),
                    angle + jitter[4],
                )
                candidates.append((int(y / 4), int(x / 4), box))
    candidates.sort(key=lambda c: c[:2])
    return np.array([c[2] for c in candidates]), rng.uniform(0.8, 1, len(candidates))


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.3])
def test_equals_the_slow_algorithm(noise):
    for seed in range(4):
        corners, scores = texts_of_cells(np.random.default_rng(seed), 5, noise)
        boxes, sums, _ = nms.locality_aware_nms(corners, scores, 0.2)
        expected = slow_nms(corners, scores, 0.2)
        assert 3 <= len(expected) == len(boxes)
        np.testing.assert_allclose(sums, [score for _, score in expected], rtol=1e-9)
        np.testing.assert_allclose(boxes, [box for box, _ in expected], atol=1e-6)


@pytest.mark.parametrize(
    "kind", ["random", "all alike", "chain", "outliers", "alternating", "both ends"]
)
def test_rounds_equal_the_loop(kind):
    """Lists on which the first guesses are wrong in every way."""
    rng = np.random.default_rng(3)
    n = 400
    if kind == "random":
        parts = [
            (rng.uniform(0, 60, 2), rng.uniform(5, 90, 2), rng.uniform(-1, 1)) for _ in range(n)
        ]
    elif kind == "all alike":
        parts = [((50, 50), (40, 20), 0.1)] * n
    elif kind == "chain":  # each overlaps the one before, the mean stays behind
        parts = [((5.0 * i, 3.0 * i), (40, 30), 0.01 * i) for i in range(n)]
    elif kind == "outliers":  # each overlaps the one before, one in twenty not the mean
        offsets = [0] * 15 + [14, 27, 38, 27, 14]
        parts = [((50 + offsets[i % 20], 50), (40, 20), 0.0) for i in range(n)]
    elif kind == "alternating":
        parts = [((50 + 25 * (i % 2), 50), (40, 20), 0.0) for i in range(n)]
    else:  # 44 degrees and -44: nearly the same rectangle, named by other corners
        parts = [
            ((50, 50), (40, 20) if i % 3 else (20, 40), 0.77 * (-1) ** (i % 3 == 0))
            for i in range(n)
        ]
    boxes = nms.boxes_from_corners(np.array([turned(*part) for part in parts]))
    scores = rng.uniform(0.1, 1, n)
    for thresh in (0.1, 0.2, 0.5):
        expected = merge_sequentially(boxes, scores, thresh)
        found = nms.merge_in_rounds(boxes, scores, thresh)
        assert found[0].shape == expected[0].shape
        np.testing.assert_allclose(found[0], expected[0], atol=1e-7)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-9)
    if kind == "both ends":
        assert expected[0].shape[1] == 1


def test_merging_by_hand():
    boxes = np.array([turned((50, 50), (40, 20), 0), turned((54, 50), (40, 20), 0)])
    found, scores, _ = nms.locality_aware_nms(boxes, np.array([0.25, 0.75]), 0.2)
    assert scores.tolist() == [1.0]
    np.testing.assert_allclose(found[0], turned((53, 50), (40, 20), 0))
    # IoU 36 / 44 = 0.818...
    assert len(nms.locality_aware_nms(boxes, np.array([0.25, 0.75]), 0.81)[0]) == 1
    assert len(nms.locality_aware_nms(boxes, np.array([0.25, 0.75]), 0.82)[0]) == 2


def test_corners_are_aligned_before_they_are_averaged():
    """One rectangle named from two corners must not shrink to the mean of both."""
    box = turned((50, 50), (60, 24), 0.5)
    for roll in range(4):
        corners = np.array([box, np.roll(box, roll, axis=0)])
        found, _, _ = nms.locality_aware_nms(corners, np.ones(2), 0.2)
        np.testing.assert_allclose(found, box[None], atol=1e-9)


def test_the_nearest_shift_is_the_nearest():
    rng = np.random.default_rng(4)
    for _ in range(200):
        target = turned(rng.uniform(0, 9, 2), rng.uniform(5, 60, 2), rng.uniform(0, 7))
        box = turned(rng.uniform(0, 9, 2), rng.uniform(5, 60, 2), rng.uniform(0, 7))
        distances = [((np.roll(box, -k, axis=0) - target) ** 2).sum() for k in range(4)]
        pair = nms.boxes_from_corners(np.array([target, box]))
        shift = nms.nearest_shift(pair[:, :1], pair[:, 1:])
        assert shift[0] == np.argmin(distances)
        shifted = nms.corners_of_boxes(nms.shift_corners(pair[:, 1:], shift))[0]
        np.testing.assert_allclose(shifted, np.roll(box, -shift[0], axis=0), atol=1e-9)


def test_areas_equal_shapelys():
    rng = np.random.default_rng(5)

    def draw(n):
        return np.array(
            [
                turned(rng.uniform(0, 40, 2), rng.uniform(1, 60, 2), rng.uniform(0, 7))
                for _ in range(n)
            ]
        )

    first, second = draw(600), draw(600)
    second[:50] = first[:50]  # the same
    second[50:100] = np.roll(first[50:100], 1, axis=1)
    second[100:150] = first[100:150] + (first[100:150, 1:2] - first[100:150, :1])  # side by side
    upright = np.array([turned((20, 20), (30, 10), 0), turned((25, 20), (30, 10), 0)])
    first, second = np.concatenate([first, upright[:1]]), np.concatenate([second, upright[1:]])
    # And parallelograms.
    first = np.concatenate([first, 0.5 * first[:600] + 0.5 * draw(600)])
    second = np.concatenate([second, draw(600)])
    expected = shapely.area(shapely.intersection(shapely.polygons(first), shapely.polygons(second)))
    boxes = [nms.boxes_from_corners(corners) for corners in (first, second)]
    np.testing.assert_allclose(nms.intersection_area(*boxes), expected, atol=1e-6)
    np.testing.assert_allclose(nms.corners_of_boxes(boxes[0]), first, atol=1e-9)
    assert nms.intersection_area(*boxes)[600] == pytest.approx(250)


@pytest.mark.parametrize("count", [1, 127, 300])
def test_suppression_equals_the_greedy_loop(count):
    rng = np.random.default_rng(6)
    corners = np.array(
        [
            turned(rng.uniform(0, 300, 2), rng.uniform(10, 80, 2), rng.uniform(0, 7))
            for _ in range(count)
        ]
    )
    kept = []
    for i in range(count):
        if all(slow_iou(corners[i], corners[j]) <= 0.2 for j in kept):
            kept.append(i)
    assert nms.suppress(nms.boxes_from_corners(corners), 0.2).tolist() == kept


def test_none_and_degenerate_boxes():
    boxes, scores, _ = nms.locality_aware_nms(np.zeros((0, 4, 2)), np.zeros(0))
    assert boxes.shape == (0, 4, 2) and scores.shape == (0,)
    boxes, scores, _ = nms.locality_aware_nms(np.zeros((5, 4, 2)), np.ones(5))
    assert np.isfinite(boxes).all() and scores.sum() == 5


def test_the_limit_keeps_the_highest_sums():
    corners = np.array([turned((100 * i, 0), (50, 20), 0) for i in range(6)])
    scores = np.array([0.3, 0.9, 0.5, 0.8, 0.2, 0.7])
    boxes, sums, _ = nms.locality_aware_nms(corners, scores, max_boxes=3)
    np.testing.assert_allclose(sums, [0.9, 0.8, 0.7])
    np.testing.assert_allclose(boxes, corners[[1, 3, 5]])
