"""Progressive scale expansion, pixel for pixel against a queue of single pixels."""

from collections import deque

import cv2
import numpy as np
import pytest

from vlpt_d2.modeling.detection.psenet.expansion import expand_kernels


def expand_one_by_one(labels, kernels):
    """The definition: a first-in-first-out queue of pixels for each kernel."""
    out = [[int(v) for v in row] for row in labels]
    height, width = labels.shape
    for kernel in kernels:
        queue = deque((y, x) for y in range(height) for x in range(width) if out[y][x])
        while queue:
            y, x = queue.popleft()
            for ny, nx in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= ny < height and 0 <= nx < width
                if inside and kernel[ny, nx] and not out[ny][nx]:
                    out[ny][nx] = out[y][x]
                    queue.append((ny, nx))
    return np.array(out, np.int32).reshape(labels.shape)


def picture(*rows):
    """Digits are labels; "." is nothing."""
    return np.array([[0 if c == "." else int(c) for c in row] for row in rows])


def test_by_hand_ties_go_to_who_asked_first():
    labels = picture(
        ".....",
        "1...2",
        ".....",
    )
    everything = np.ones((3, 5), bool)
    # The middle column is two steps from both. The left seed is first in the queue, so its right
    # neighbour stands before the right seed's left one when they leave it.
    expected = picture(
        "11122",
        "11122",
        "11122",
    )
    np.testing.assert_array_equal(expand_kernels(labels, [everything]), expected)


def test_by_hand_levels_before_distance():
    labels = picture("1......2")
    small = picture("11111..2") > 0
    large = np.ones((1, 8), bool)
    # 1 has taken four pixels of the smaller map when the larger one lets both grow.
    np.testing.assert_array_equal(expand_kernels(labels, [small, large]), picture("11111122"))
    np.testing.assert_array_equal(expand_kernels(labels, [large]), picture("11112222"))


def test_by_hand_diagonals_do_not_touch():
    labels = picture("1..", "...", "...")
    diagonal = picture("1..", ".1.", "..1") > 0
    np.testing.assert_array_equal(expand_kernels(labels, [diagonal]), labels)


def nested_case(rng, size, count):
    """Kernels of random, partly touching and crossing bars, and the labelled smallest."""
    levels = np.zeros((7, *size), np.uint8)
    for _ in range(count):
        centre = rng.uniform((0, 0), size[::-1])
        sides = rng.uniform(4, 10), rng.uniform(8, 30)
        angle = rng.uniform(0, 180)
        for i in range(7):
            shrunk = tuple(max(s - 0.9 * i, 1.0) for s in sides)
            corners = cv2.boxPoints((centre.tolist(), shrunk, angle))
            cv2.fillPoly(levels[i], [np.round(corners).astype(np.int32)], 1)
    labels = cv2.connectedComponents(levels[6], connectivity=4)[1]
    return labels, levels[5::-1] > 0


@pytest.mark.parametrize("seed", range(12))
def test_nested_kernels(seed):
    rng = np.random.default_rng(seed)
    labels, kernels = nested_case(rng, (48, 80), 8 + seed)
    assert labels.max() >= 3
    expected = expand_one_by_one(labels, kernels)
    assert (expected > 0).sum() > (labels > 0).sum()
    np.testing.assert_array_equal(expand_kernels(labels, kernels), expected)


@pytest.mark.parametrize("seed", range(24))
def test_random_maps_that_are_not_nested(seed):
    """Noise, single pixels, labels next to each other, labels outside every map."""
    rng = np.random.default_rng(100 + seed)
    size = tuple(rng.integers(1, 40, 2))
    density = rng.uniform(0.3, 0.95)
    kernels = rng.random((rng.integers(1, 7), *size)) < density
    seeds = rng.random(size) < rng.choice([0.02, 0.2, 0.7])
    labels = np.where(seeds, rng.integers(1, 2000, size), 0)
    result = expand_kernels(labels, kernels)
    np.testing.assert_array_equal(result, expand_one_by_one(labels, kernels))
    assert result.dtype == np.int32


def test_agreement_with_a_watershed_without_ties():
    """Far seeds and one open map: the nearest seed by city block distance, whoever computes it."""
    labels = np.zeros((60, 61), np.int64)
    points = {1: (5, 4), 2: (50, 9), 3: (30, 51)}
    for label, point in points.items():
        labels[point] = label
    y, x = np.mgrid[:60, :61]
    distances = np.stack([abs(y - py) + abs(x - px) for py, px in points.values()])
    nearest = distances.argmin(axis=0) + 1
    sure = np.sort(distances, axis=0)[1] > distances.min(axis=0)
    result = expand_kernels(labels, [np.ones((60, 61), bool)])
    np.testing.assert_array_equal(result[sure], nearest[sure])
    assert (result > 0).all()


def test_nothing_to_do():
    empty = np.zeros((5, 6), np.int32)
    np.testing.assert_array_equal(expand_kernels(empty, [np.ones((5, 6), bool)]), empty)
    labels = np.arange(30).reshape(5, 6)
    np.testing.assert_array_equal(expand_kernels(labels, []), labels)
    np.testing.assert_array_equal(expand_kernels(labels, np.zeros((3, 5, 6), bool)), labels)
