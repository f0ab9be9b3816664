"""SAE's decoding against a search through all centres for every pixel, shapes by hand."""

import cv2
import numpy as np
import pytest
import shapely
from helpers.polygons import unpacked
from helpers.round_trip import exceptions, rendered_curved_texts
from helpers.sae_by_pixel import assign_by_pixel
from helpers.shipped_detectors import Setting

from vlpt_d2.engine import load_config
from vlpt_d2.modeling.detection.sae import decode
from vlpt_d2.modeling.detection.sae.decode import assign_pixels, decode_sae_maps
from vlpt_d2.modeling.detection.sae.labels import draw_sae_labels
from vlpt_d2.structures import TextInstances


def maps_of(rings, size=(120, 200), codes=None):
    """Text, centre and embedding of a perfect network, at stride 2; texts are 3 apart."""
    maps = draw_sae_labels(TextInstances([np.float32(r) for r in rings]), size)
    codes = 3 * np.eye(len(rings) + 1, 8, dtype=np.float32) if codes is None else codes
    text = np.float32(maps["text"] > 0)
    return text, np.float32(maps["centre"]), codes[maps["text"]].transpose(2, 0, 1).copy()


def box(x0, y0, x1, y1):
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def corners(polygon):
    return sorted(map(tuple, np.round(polygon, 3).tolist()))


@pytest.mark.parametrize("seed", range(3))
def test_assignment_equals_that_by_pixel(seed):
    """On noise, where components hold no, one or many centres."""
    rng = np.random.default_rng(seed)
    smooth = [cv2.GaussianBlur(rng.random((40, 60)), (0, 0), sigma) for sigma in (1.5, 1.0)]
    text = smooth[0] > np.quantile(smooth[0], 0.5)
    centre = text & (smooth[1] > np.quantile(smooth[1], 0.75))
    noise = rng.normal(size=(8, 40, 60)).astype(np.float32)
    embedding = 0.8 * np.stack([cv2.GaussianBlur(m, (0, 0), 1.0) for m in noise]) / 0.28
    assert (
        assign_pixels(text, centre, embedding).max()
        > 1.1 * assign_pixels(text, centre, embedding, 6).max()
    )
    found = assign_pixels(text, centre, embedding, 6)
    np.testing.assert_array_equal(found, assign_by_pixel(text, centre, embedding, 6))
    given = (found > 0) & ~centre
    assert given.any() and (text & ~centre & ~given).any()


@pytest.mark.parametrize("polygon_mode", [False, True])
def test_touching_texts_come_back_exactly(polygon_mode):
    rings = [box(8, 16, 88, 48), box(88, 16, 150, 48), box(20, 48, 120, 80), box(160, 8, 184, 104)]
    found, scores = unpacked(decode_sae_maps(*maps_of(rings), stride=2, polygon_mode=polygon_mode))
    assert sorted(map(corners, found)) == sorted(map(corners, np.array(rings, float)))
    assert scores.tolist() == [1] * 4 and scores.dtype == found[0].dtype == np.float32


def test_pixels_of_another_kind_are_left_out():
    """The right third of a text has an embedding of its own, at a distance of 0.9 or 1.1."""
    text, centre, embedding = maps_of([box(20, 20, 140, 60)])
    centre[:, 40:] = 0
    for distance, right in ((0.9, 140), (1.1, 100)):
        embedding[1, :, 50:] = 3 + distance
        (found,) = decode_sae_maps(text, centre, embedding, stride=2).polygons
        assert found[:, 0].max() == right
    # Without a centre there is no text.
    assert decode_sae_maps(text, 0 * centre, embedding, stride=2).polygons == []


def test_filters_one_by_one():
    text, centre, embedding = maps_of([box(10, 10, 40, 26), box(60, 20, 150, 70)])
    text[:, :25] *= 0.8

    def run(**settings):
        found, scores = unpacked(decode_sae_maps(text, centre, embedding, stride=2, **settings))
        return sorted(round(shapely.Polygon(p).area) for p in found), scores

    areas, scores = run()
    assert areas == [480, 4500] and sorted(scores.tolist()) == pytest.approx([0.8, 1])
    assert run(score_thresh=0.81)[0] == run(text_thresh=0.81)[0] == [4500]
    assert run(min_area=480)[0] == [480, 4500] and run(min_area=481)[0] == [4500]
    assert run(max_candidates=1)[0] == [4500] and run(max_candidates=0)[0] == [480, 4500]
    counts = decode_sae_maps(text, centre, embedding, stride=2, max_candidates=1).counts
    assert counts == {"candidates": 2, "dropped_candidates": 1}


def test_the_pairs_of_an_early_map_are_limited(monkeypatch):
    """All is text; the smaller centres keep their own pixels."""
    text, centre, embedding = maps_of([box(10, 10, 60, 60), box(70, 10, 100, 40)])
    text[:] = 1
    everything = assign_pixels(text > 0, centre > 0, embedding)
    monkeypatch.setattr(decode, "_MAX_PAIRS", text.size)
    limited = assign_pixels(text > 0, centre > 0, embedding)
    small, large = np.argsort(np.bincount(everything.ravel())[1:]) + 1
    np.testing.assert_array_equal(limited == large, everything == large)
    np.testing.assert_array_equal(limited == small, (everything == small) & (centre > 0))
    assert (everything == small).sum() == 15 * 15 > (limited == small).sum() > 0


def test_round_trip_on_curved_texts():
    """benchmarks/bench_sae.py has all photographs of ICDAR2015, too."""
    setting = Setting(load_config("detection/ctw1500/sae_R_50.yaml"))
    outcomes = setting.outcomes(rendered_curved_texts(4), 0.8, resized=False)
    asked = [o.iou for o in outcomes if o.short_side >= 12]
    assert len(asked) > 10 and np.mean(asked) > 0.9 and not exceptions(outcomes)
