"""Answers as bars: their order, lengths and scale, measured in the picture."""

import cv2
import numpy as np

from vlpt_d2.visualization.words import plot_neighbours, plot_reading

BLUE = (180, 119, 31)  # matplotlib's tab:blue, in BGR


def bars(picture):
    """Lengths in pixels of the bars of a picture, from the top."""
    rows = (picture == BLUE).all(axis=2).sum(axis=1)
    edges = np.flatnonzero(np.diff(np.r_[0, rows > 0, 0]))
    return [int(np.median(rows[a:b])) for a, b in zip(edges[::2], edges[1::2])]


def test_bars_are_as_long_as_the_answers_are_probable(tmp_path):
    image = np.zeros((48, 96, 3), np.uint8)
    answers = [("exit", 0.8), ("$a$ b", 0.4), ("a caption that is far too long for its panel", 0.1)]
    plot_reading(image, [("mask 1", answers)], tmp_path / "read.png")
    picture = cv2.imread(str(tmp_path / "read.png"))
    first, second, third = bars(picture)
    assert abs(first - 2 * second) <= 3
    assert abs(first - 8 * third) <= 9
    black = (picture == 0).all(axis=2)
    columns = np.flatnonzero(black.sum(axis=0) > 80)
    rows = np.flatnonzero(black.sum(axis=1) > 80)
    # The image keeps its shape, twice as wide as high.
    wide, high = columns[columns < 500].size, rows.size
    assert abs(wide - 2 * high) < 0.1 * wide


def test_one_scale_for_the_words_of_a_table(tmp_path):
    found = [
        [[("near", 0.6), ("far", -0.2)], [("close", 0.9)]],
        [[("near", 0.3)], [("close", 0.45)]],
    ]
    plot_neighbours(["one", "two"], ["ours", "BERT"], found, tmp_path / "near.png")
    picture = cv2.imread(str(tmp_path / "near.png"))
    left, right = np.split(picture, 2, axis=1)
    near, far, close = bars(left)
    assert abs(near - 3 * far) <= 4
    other, other_close = bars(right)
    # Layout may give the two columns of panels slightly different widths.
    assert abs(near - 2 * other) < 0.15 * near
    assert abs(close - 2 * other_close) < 0.15 * close
