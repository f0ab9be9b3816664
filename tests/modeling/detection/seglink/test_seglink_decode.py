"""SegLink's decoding against one segment and one link at a time, and by hand."""

import numpy as np
import pytest
from helpers.detectors import detector_cfg
from helpers.polygons import unpacked
from helpers.round_trip import rendered_curved_texts
from helpers.shipped_detectors import Setting
from helpers.slow_seglink import STRIDES, decode_one_by_one

from vlpt_d2.modeling.detection.seglink.decode import decode_seglink_maps

SIZE = (140, 250)


def empty_maps(size=SIZE):
    grids = [(-(-size[0] // stride), -(-size[1] // stride)) for stride in STRIDES]
    return [np.zeros((15 + 4 * (k > 0), *grid), np.float32) for k, grid in enumerate(grids)]


def random_maps(rng):
    """Any maps, with a third of the cells text and a few of the links on."""
    maps = empty_maps()
    for m in maps:
        m[0] = rng.uniform(0.3, 1, m.shape[1:]) ** 0.3
        m[1:5] = rng.normal(0, 0.3, (4, *m.shape[1:]))
        angles = 0.4 + rng.normal(0, 0.2, m.shape[1:])
        m[5:7] = np.cos(2 * angles), np.sin(2 * angles)
        m[7:] = rng.uniform(0, 0.75, m[7:].shape)
    return maps


def in_order(texts):
    """(corners, score) sorted by the corners, as arrays."""
    texts = sorted(texts, key=lambda text: text[0].sum())
    return np.array([corners for corners, _ in texts]), np.array([score for _, score in texts])


@pytest.mark.parametrize("seed", range(3))
def test_decoding_equals_the_slow_one(seed):
    maps = random_maps(np.random.default_rng(seed))
    polygons, scores = unpacked(decode_seglink_maps(maps, max_candidates=0))
    expected = decode_one_by_one(maps)
    assert len(expected) > 20 and max(len(e[0]) for e in expected) == 4
    found = in_order(zip(polygons, scores))
    wanted = in_order(expected)
    np.testing.assert_allclose(found[0], wanted[0], atol=1e-2)
    np.testing.assert_allclose(found[1], wanted[1], atol=1e-5)


def two_segments(link):
    """Two segments of 12 x 10 px next to each other, level; ``link`` sets the channel between."""
    maps = empty_maps()
    m = maps[0]
    m[0, 3, 4:6] = 0.95, 0.97
    m[3:5, 3, 4:6] = np.log([[1.0], [10 / 12]])
    m[5, 3, 4:6] = 1
    link(m)
    return maps


@pytest.mark.parametrize("cell, channel", [(4, 11), (5, 10)], ids=["from the left", "right"])
def test_two_segments_by_hand(cell, channel):
    def link(m):
        m[channel, 3, cell] = 0.8

    (polygon,), (score,) = unpacked(decode_seglink_maps(two_segments(link)))
    # Centres (36, 28) and (44, 28), each 6 px to its end.
    np.testing.assert_allclose(polygon, [(30, 23), (50, 23), (50, 33), (30, 33)], atol=1e-4)
    assert score == pytest.approx(0.96)
    assert len(decode_seglink_maps(two_segments(lambda m: None)).polygons) == 2
    assert len(decode_seglink_maps(two_segments(link), link_thresh=0.8).polygons) == 2
    assert len(decode_seglink_maps(two_segments(link), segment_thresh=0.96).polygons) == 1


def test_a_link_across_levels():
    maps = two_segments(lambda m: None)
    maps[1][0, 1, 2] = 0.99  # over cells (2..3, 4..5) of the finer level
    maps[1][5, 1, 2] = 1
    maps[1][15 + 2, 1, 2] = maps[1][15 + 3, 1, 2] = 0.9
    (polygon,) = decode_seglink_maps(maps).polygons
    # The centres at 36, 40, 44: the ends are those of the outer segments.
    np.testing.assert_allclose(polygon[:, 0], [30, 50, 50, 30], atol=1e-4)


def test_vertical_lines_have_no_jump():
    """Segments at 88 and -88 degrees are 4 degrees apart: their mean is upright."""
    maps = empty_maps()
    for row, degrees in ((3, 88), (4, -88)):
        maps[0][0, row, 5] = 1
        angle = np.radians(2 * degrees)
        maps[0][5:7, row, 5] = np.cos(angle), np.sin(angle)
    maps[0][7 + 6, 3, 5] = 1
    (polygon,) = decode_seglink_maps(maps).polygons
    np.testing.assert_allclose(np.ptp(polygon, axis=0), (12, 20), atol=1e-3)


def test_nothing_and_too_much():
    assert decode_seglink_maps(empty_maps()).polygons == []
    maps = empty_maps()
    maps[0][0] = 0.95
    maps[0][0, 2, 3] = 0.99
    maps[0][5] = 1
    found = decode_seglink_maps(maps, max_candidates=1)
    polygons, scores = unpacked(found)
    cells = maps[0][0].size
    assert len(polygons) == 1 and scores[0] == np.float32(0.99)
    assert found.counts == {"candidates": cells, "dropped_candidates": cells - 1}


def test_rendered_curved_words_come_back():
    setting = Setting(detector_cfg("SegLinkHead"))
    outcomes = setting.outcomes(rendered_curved_texts(4), 0.8, resized=False)
    large = [o for o in outcomes if o.short_side >= 12]
    assert len(large) > 10
    assert np.mean([o.iou for o in large]) > 0.95 and all(o.iou > 0.8 for o in large)
