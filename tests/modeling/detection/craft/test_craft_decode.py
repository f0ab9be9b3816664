"""CRAFT's decoding by hand, and against the published boxes."""

import numpy as np
import pytest
import shapely
from helpers.detectors import detector_cfg
from helpers.polygons import unpacked
from helpers.round_trip import rendered_curved_texts
from helpers.shipped_detectors import Setting
from helpers.slow_craft import published_boxes

from vlpt_d2.modeling.detection.craft.decode import decode_craft_maps
from vlpt_d2.modeling.detection.craft.labels import draw_craft_labels
from vlpt_d2.structures import TextInstances

SIZE = (160, 240)


def rectangle(centre, size, degrees=0.0):
    w, h = size
    corners = np.array([(-w, -h), (w, -h), (w, h), (-w, h)]) / 2
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return corners @ np.array([(cos, sin), (-sin, cos)]) + centre


def perfect(polygons, words):
    maps = draw_craft_labels(TextInstances(polygons, words=words), SIZE)
    return maps["region"], maps["affinity"]


def iou(a, b):
    a, b = shapely.Polygon(a), shapely.Polygon(b)
    return a.intersection(b).area / a.union(b).area


@pytest.mark.parametrize("low_text", [0.4, 0.5])
@pytest.mark.parametrize("degrees", [0, 30, 90, 135])
@pytest.mark.parametrize(
    ("size", "word"), [((90, 24), "openly"), ((60, 30), "on"), ((28, 56), "I"), ((40, 60), "il")]
)
def test_words_come_back(size, word, degrees, low_text):
    box = rectangle((121, 83), size, degrees)
    for polygon_mode in (False, True):
        (found,), (score,) = unpacked(
            decode_craft_maps(*perfect([box], [word]), low_text=low_text, polygon_mode=polygon_mode)
        )
        assert iou(found, box) > 0.8 and score > 0.9
        assert len(found) == (2 * len(word) + 4 if polygon_mode and word == "openly" else 4)


def test_a_long_text_is_outlined_along_all_its_characters():
    box = rectangle((482, 24), (920, 26))
    maps = draw_craft_labels(TextInstances([box], words=["i" * 40]), (48, 964))
    (found,) = decode_craft_maps(maps["region"], maps["affinity"], polygon_mode=True).polygons
    assert len(found) == 2 * 40 + 4 and iou(found, box) > 0.9


def test_the_boxes_are_near_the_published_ones():
    boxes = [rectangle((60, 30), (90, 20)), rectangle((170, 50), (80, 24), 20)]
    boxes += [rectangle((60, 100), (40, 26), -30), rectangle((160, 120), (110, 40))]
    maps = perfect(boxes, ["opening", "hours", "in", "eleven"])
    found, published = decode_craft_maps(*maps).polygons, published_boxes(*maps)
    assert len(found) == len(published) == 4
    for box in boxes:
        ours, theirs = max(iou(f, box) for f in found), max(iou(p, box) for p in published)
        assert ours > 0.85 and ours > theirs - 0.02 and theirs > 0.6


def test_thresholds():
    region, affinity = perfect([rectangle((60, 40), (60, 24))], ["abcd"])
    assert len(decode_craft_maps(0.7 * region, affinity, text_thresh=0.69).polygons) == 0
    assert len(decode_craft_maps(0.75 * region, affinity).polygons) == 1
    # Without links the characters are texts of their own, each as wide as it is.
    apart, scores = unpacked(decode_craft_maps(region, 0 * affinity))
    assert len(apart) == 4 and all(np.ptp(a[:, 0]) < 20 for a in apart)
    assert (scores > 0.9).all()
    # A link alone is no text.
    assert decode_craft_maps(0 * region, np.ones_like(affinity)).polygons == []
    assert decode_craft_maps(0 * region, affinity).polygons == []


def test_neighbours_stay_apart():
    boxes = [rectangle((50, 40), (60, 24)), rectangle((116, 40), (60, 24))]
    found = decode_craft_maps(*perfect(boxes, ["abcd", "efg"])).polygons
    assert len(found) == 2
    assert all(max(iou(f, box) for f in found) > 0.85 for box in boxes)


def test_the_limit_keeps_the_largest():
    boxes = [rectangle((50, 40), (60, 24)), rectangle((150, 80), (90, 40))]
    maps = perfect(boxes, ["abcd", "efgh"])
    texts = decode_craft_maps(*maps, max_candidates=1)
    (found,) = texts.polygons
    assert iou(found, boxes[1]) > 0.9
    assert texts.counts == {"candidates": 2, "dropped_candidates": 1}


def test_rendered_curved_words_come_back():
    setting = Setting(detector_cfg("CRAFTHead", MODEL__TEXT_HEAD__OUTPUT="polygon"))
    outcomes = setting.outcomes(rendered_curved_texts(4), 0.8, resized=False)
    ious = np.array([o.iou for o in outcomes if o.short_side >= 12])
    assert len(ious) > 10 and ious.mean() > 0.88 and (ious > 0.8).mean() > 0.85
