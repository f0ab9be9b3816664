"""Words of lines that are known, in the order in which they are read."""

import numpy as np

from vlpt_d2.structures.lines import group_lines


def words(x, y, widths, height=10, gap=5):
    """Rectangles next to each other from (x, y)."""
    found = []
    for width in widths:
        found.append(np.float32([(x, y), (x + width, y), (x + width, y + height), (x, y + height)]))
        x += width + gap
    return found


def shuffled(lines, seed=0):
    """All words in any order, and of each line their places."""
    order = np.random.default_rng(seed).permutation(sum(map(len, lines)))
    flat = [word for line in lines for word in line]
    places = iter(np.argsort(order).tolist())
    return [flat[i] for i in order], [[next(places) for _ in line] for line in lines]


def test_a_page_of_two_columns_under_a_title():
    title = words(20, 5, [90, 80], height=20)
    left = [words(10, 40 + 15 * i, [30, 20, 25]) for i in range(3)]
    right = [words(130, 44 + 15 * i, [25, 40]) for i in range(3)]
    footer = words(12, 100, [60, 90, 40])
    lines = [title, *left, *right, footer]
    for seed in range(3):
        polygons, expected = shuffled(lines, seed)
        assert group_lines(polygons) == expected


def test_slanted_and_upright_lines():
    line = words(0, 0, [30, 12, 40, 25])
    for angle in (-60, -30, 15, 44, 90):  # the last is read downwards
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        turned = [np.float32(w @ np.array([[c, s], [-s, c]]) + 200) for w in line]
        polygons, expected = shuffled([turned], seed=1)
        assert group_lines(polygons) == expected


def test_what_is_no_line():
    small, large = words(0, 0, [20], height=6), words(25, -7, [60], height=20)
    far, below = words(200, 0, [20], height=6), words(0, 8, [22], height=6)
    polygons, expected = shuffled([large, small, below, far])
    assert sorted(group_lines(polygons)) == sorted(expected)
    assert group_lines([]) == []


def test_many_words_of_nothing_end():
    rng = np.random.default_rng(0)
    polygons = [np.float32(rng.uniform(0, 100, 2) + rng.uniform(-6, 6, (4, 2))) for _ in range(150)]
    assert sorted(i for line in group_lines(polygons) for i in line) == list(range(150))
