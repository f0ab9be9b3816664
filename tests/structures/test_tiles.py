"""Texts that overlapping windows show in parts come back whole, each once."""

import numpy as np
import pytest
import shapely

from vlpt_d2.structures.tiles import merge_texts, tile_windows


@pytest.mark.parametrize("size", [(100, 250), (300, 100), (99, 40), (400, 401)])
def test_windows_cover_the_image_and_overlap(size):
    windows = tile_windows(size, 100)
    covered = np.zeros(size, int)
    for x0, y0, x1, y1 in windows:
        assert 0 <= x0 < x1 <= size[1] and 0 <= y0 < y1 <= size[0]
        assert x1 - x0 == min(100, size[1]) and y1 - y0 == min(100, size[0])
        covered[y0:y1, x0:x1] += 1
    assert covered.min() == 1
    for axis in (0, 1):
        starts = np.unique(windows[:, axis])
        assert (np.diff(starts) <= 75).all()


def rectangle(x0, y0, x1, y1):
    return np.float32([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def seen(texts, windows):
    """What each window shows of the texts: (polygon, owner) pairs."""
    parts = []
    for owner, window in enumerate(windows):
        for text in texts:
            part = shapely.intersection(shapely.Polygon(text), shapely.box(*window))
            if part.area:
                parts.append((np.float32(part.exterior.coords[:-1]), owner))
    polygons, owners = zip(*parts)
    return list(polygons), np.array(owners)


def merge(texts, windows, size, scores=None):
    polygons, owners = seen(texts, windows)
    scores = np.linspace(0.5, 0.9, len(polygons)) if scores is None else scores
    return merge_texts(polygons, np.float32(scores), owners, windows, size)


def assert_texts(found, expected):
    assert len(found) == len(expected)
    for text in expected:
        best = max(found, key=lambda p: shapely.Polygon(p).intersection(shapely.Polygon(text)).area)
        low_high = np.concatenate([best.min(axis=0), best.max(axis=0)])
        wanted = np.concatenate([text.min(axis=0), text.max(axis=0)])
        np.testing.assert_allclose(low_high, wanted, atol=0.01)


def test_every_text_comes_back_once():
    size = (200, 300)
    windows = tile_windows(size, 100)
    texts = [
        rectangle(10, 10, 60, 25),  # in one window
        rectangle(70, 40, 115, 55),  # cut by one, whole in another
        rectangle(20, 120, 290, 135),  # longer than any window
        rectangle(150, 60, 165, 190),  # and upright
        rectangle(0, 190, 40, 200),  # at the image's border, which cuts nothing
    ]
    polygons, scores, parts = merge(texts, windows, size)
    assert_texts(polygons, texts)
    assert len(scores) == len(parts) == len(texts)
    assert all(p.shape == (4, 2) and p.dtype == np.float32 for p in polygons)
    # Next to the whole image, where each is seen whole.
    windows = np.concatenate([[(0, 0, 300, 200)], windows])
    assert_texts(merge(texts, windows, size)[0], texts)


def test_a_curved_text_keeps_its_shape():
    size, windows = (100, 160), np.array([(0, 0, 100, 100), (60, 0, 160, 100)])
    arc = np.linspace(np.pi, 2 * np.pi, 9)
    outer, inner = (np.stack([80 + r * np.cos(arc), 90 + r * np.sin(arc)], 1) for r in (70, 50))
    ring = np.concatenate([outer, inner[::-1]])
    polygons, _, _ = merge([ring], windows, size)
    (found,) = map(shapely.Polygon, polygons)
    assert found.symmetric_difference(shapely.Polygon(ring)).area < 1


def test_words_and_their_line_are_not_both_kept():
    windows = np.array([(0, 0, 100, 50), (60, 0, 160, 50)])
    line, word = rectangle(65, 10, 95, 20), rectangle(65, 10, 78, 20)
    for score, kept in ((0.95, word), (0.6, line)):
        polygons, _, parts = merge_texts(
            [line, word], np.float32([0.9, score]), np.array([0, 1]), windows, (50, 160)
        )
        assert_texts(polygons, [kept])
        assert parts.tolist() == [int(kept is word)]
    # Two of one window, which the detector itself tells apart, stay.
    owners = np.array([0, 0])
    assert (
        len(merge_texts([line, word], np.float32([0.9, 0.8]), owners, windows, (50, 160))[0]) == 2
    )


def test_no_texts():
    polygons, scores, parts = merge_texts(
        [], np.zeros(0, np.float32), np.zeros(0, int), tile_windows((50, 50), 40), (50, 50)
    )
    assert polygons == [] and len(scores) == len(parts) == 0
