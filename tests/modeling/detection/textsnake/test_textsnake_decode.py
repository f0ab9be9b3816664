"""TextSnake's decoding: round trips, each threshold alone, the paper's strides, noise."""

import cv2
import numpy as np
import pytest
import shapely
from helpers.plain_textsnake import plain_snakes
from helpers.polygons import unpacked
from helpers.round_trip import icdar2015_texts, rendered_curved_texts, round_trip

from vlpt_d2.modeling.detection.textsnake.decode import MIN_PIXELS, decode_snake_maps, regions_of
from vlpt_d2.modeling.detection.textsnake.labels import draw_snake_labels
from vlpt_d2.structures import TextInstances


def perfect(maps):
    return [np.float32(maps[name]) for name in ("text", "centre", "geometry")]


def drawn(*polygons, size=(240, 320)):
    return perfect(draw_snake_labels(TextInstances([np.asarray(p) for p in polygons]), size))


def wave(amplitude=40, height=28, count=9):
    x = np.linspace(20, 300, count)
    y = 120 + amplitude * np.sin(x / 45)
    return np.concatenate(
        [np.column_stack([x, y - height / 2]), np.column_stack([x, y + height / 2])[::-1]]
    )


def iou(a, b):
    a, b = shapely.Polygon(a), shapely.Polygon(b)
    return a.intersection(b).area / a.union(b).area


@pytest.mark.parametrize("degrees", [0, 20, 45, 90, 130])
@pytest.mark.parametrize("sides", [(120, 40), (60, 20), (30, 14), (40, 40)])
def test_rectangles_come_back(sides, degrees):
    box = cv2.boxPoints(((160.3, 120.7), sides, degrees))
    for polygon_mode in (False, True):
        (found,), (score,) = unpacked(decode_snake_maps(*drawn(box), polygon_mode=polygon_mode))
        assert iou(found, box) > (0.8 if sides[1] == 14 else 0.88)
        assert found.dtype == np.float32 and 0.8 < score <= 1
        assert len(found) == 4 or polygon_mode


def test_a_wave_comes_back_and_its_axis_is_the_papers():
    maps = drawn(wave())
    (found,) = decode_snake_maps(*maps, polygon_mode=True).polygons
    assert iou(found, wave()) > 0.93
    ((points, radii),), (disks,) = plain_snakes(*maps)
    # The middles of the two sides, without the ends that the paper's axis lacks.
    half = len(found) // 2
    middles = 0.5 * (found[:half] + found[: half - 1 : -1])
    line = shapely.LineString(middles)
    assert shapely.distance(line, shapely.points(points)).max() < 2.5
    ends = np.linalg.norm(found[:half] - found[: half - 1 : -1], axis=1) / 2
    nearest = np.linalg.norm(points[:, None] - middles[None], axis=2).argmin(axis=1)
    np.testing.assert_allclose(ends[nearest], radii, rtol=0.08)
    assert iou(disks, wave()) > 0.75


def test_thresholds_one_by_one():
    text, centre, geometry = drawn(wave())
    for maps, keys, count in (
        ((0.5 * text, centre), {"text_thresh": 0.6}, 0),
        ((0.5 * text, centre), {"text_thresh": 0.4, "score_thresh": 0.4}, 1),
        ((0.5 * text, centre), {"text_thresh": 0.4, "score_thresh": 0.6}, 0),
        ((text, 0.5 * centre), {"centre_thresh": 0.6}, 0),
        ((text, 0.5 * centre), {"centre_thresh": 0.4}, 1),
        # A centre line outside the text is none.
        ((0 * text, centre), {"score_thresh": 0.0}, 0),
    ):
        assert len(decode_snake_maps(*maps, geometry, **keys).polygons) == count
    gap = centre.copy()
    gap[:, 80:84] = 0
    assert len(decode_snake_maps(text, gap, geometry).polygons) == 2


def test_maps_of_early_epochs():
    """Noise everywhere, all text, nothing, and directions that say nothing."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.random((160, 200), np.float32), (0, 0), 1.5)
    noise = np.clip((noise - 0.5) * 8 + 0.5, 0, 1)
    geometry = np.stack([30 * noise, *rng.normal(size=(2, 160, 200))]).astype(np.float32)
    full, none = np.ones_like(noise), np.zeros_like(noise)
    for polygon_mode in (False, True):
        for text, values in ((noise, geometry), (full, geometry), (full, 0 * geometry)):
            polygons, scores = unpacked(
                decode_snake_maps(text, text, values, polygon_mode=polygon_mode, score_thresh=0.0)
            )
            assert len(polygons) == len(scores) > 0
            assert all(np.isfinite(p).all() for p in polygons)
            if polygon_mode:
                assert all(shapely.Polygon(p).is_valid for p in polygons)
        polygons, scores = unpacked(
            decode_snake_maps(none, none, geometry, polygon_mode=polygon_mode)
        )
        assert polygons == [] and scores.shape == (0,)


def returned(images, polygon_mode):
    outcomes = round_trip(
        images,
        labels=draw_snake_labels,
        perfect_maps=perfect,
        decode=lambda maps, size: decode_snake_maps(*maps, polygon_mode=polygon_mode),
        labelled=lambda maps: bool(maps["text"].any()),
        rectangles=not polygon_mode,
    )
    return np.array([o.iou for o in outcomes if o.short_side >= 12])


@pytest.mark.parametrize("polygon_mode", [False, True])
def test_real_texts_come_back(icdar2015_root, polygon_mode):
    """benchmarks/bench_textsnake.py --round-trip takes all images."""
    ious = returned(icdar2015_texts(icdar2015_root)[5::200], polygon_mode)
    assert len(ious) > 10 and ious.mean() > 0.9 and (ious > 0.8).mean() > 0.9


def test_rendered_curved_texts_come_back():
    ious = returned(rendered_curved_texts(16), True)
    assert len(ious) > 40 and ious.mean() > 0.9 and (ious > 0.8).mean() > 0.9


def test_more_regions_than_short_numbers():
    """A map of 270 x 250 specks: of 8 pixels, and those of the first row of 10."""
    mask = np.zeros((270 * 3, 250 * 6), bool)
    for y, x in np.ndindex(2, 4):
        mask[y::3, x::6] = True
    mask[:2, 4::6] = True
    pixels, starts, counts = regions_of(mask, MIN_PIXELS, 0)
    assert counts == {"candidates": 270 * 250, "dropped_candidates": 0}
    rows, columns = np.divmod(pixels, mask.shape[1])
    blocks = rows // 3 * 250 + columns // 6
    regions = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(pixels)))
    # Each region has the pixels of one block, and no two of the same.
    assert len(np.unique(np.column_stack([regions, blocks]), axis=0)) == len(starts) == 270 * 250
