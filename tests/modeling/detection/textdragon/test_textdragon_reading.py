"""TextDragon's second stage: strips by hand, CTC by enumeration, words in reading order."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from detectron2.layers import ShapeSpec
from helpers.detectors import detector_cfg

from vlpt_d2.modeling.detection import build_label_function, build_text_head
from vlpt_d2.modeling.detection.text_axis import TextSides
from vlpt_d2.modeling.detection.textdragon.reader import TextReader
from vlpt_d2.modeling.detection.textdragon.reading import (
    ALPHABET,
    has_room,
    letters_of,
    strip_between,
    strip_of,
    word_of,
)
from vlpt_d2.structures import TextInstances

SHAPES = {f"res{i + 2}": ShapeSpec(channels=8, stride=4 * 2**i) for i in range(4)}
RECTANGLE = np.array([(20.0, 24), (100, 24), (100, 44), (20, 44)])


def test_letters_and_words():
    assert len(ALPHABET) == len(set(ALPHABET)) == 95
    for word in ("exit", "B&B's", "two words", "aa"):
        letters = letters_of(word)
        columns = np.repeat(np.insert(letters, range(1, len(letters)), 0), 2)
        assert word_of(columns) == word
    assert word_of(np.array([0, 0])) == "" and word_of(letters_of("aab")) == "ab"
    assert letters_of("") is None and letters_of("naïve") is None
    assert has_room(letters_of("abc"), 3) and not has_room(letters_of("aab"), 3)


def test_strips_are_as_long_as_their_texts():
    strip = strip_of(TextSides(RECTANGLE, reading_order=True))
    # 80 x 20: four times as long as high, 32 columns of 2.5 px.
    x = 20 + 2.5 * (np.arange(32) + 0.5)
    np.testing.assert_allclose(strip, [[(a, y) for a in x] for y in (24, 44)], rtol=1e-6)
    # The same of pairs at other distances, as decoding has them.
    pairs = np.array([[(a, y) for a in (20, 23, 50, 99, 100)] for y in (24, 44)], float)
    np.testing.assert_allclose(strip_between(pairs), strip, rtol=1e-5)
    turned = strip_of(TextSides(RECTANGLE[[2, 3, 0, 1]], reading_order=True))
    np.testing.assert_allclose(turned, strip[::-1, ::-1], rtol=1e-6)


def test_features_are_taken_between_the_sides():
    """Of a map of coordinates: each row and column of a strip has its own place."""
    reader = TextReader(2, "")
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(40.0), indexing="ij")
    features = torch.stack([4 * x + 2, 4 * y + 2])[None].repeat(2, 1, 1, 1)
    features[1] += 1000
    strips = [strip_of(TextSides(r, reading_order=True)) for r in (RECTANGLE, RECTANGLE[:, ::-1])]
    long, tall = map(torch.from_numpy, strips)
    slid = reader.slide(features, [[long], [tall[:, :5], long]])
    assert slid.shape == (3, 2, 8, 32)
    share = (torch.arange(8) + 0.5) / 8
    places = torch.lerp(long[0, None], long[1, None], share[:, None, None]).permute(2, 0, 1)
    torch.testing.assert_close(slid[0], places, atol=1e-3, rtol=0)
    torch.testing.assert_close(slid[2], places + 1000, atol=1e-3, rtol=0)
    assert reader.slide(features, [[], []]).shape[:3] == (1, 2, 8)


def test_loss_is_that_of_all_ways_to_write_the_word():
    reader = TextReader(2, "")
    logits = torch.randn(2, 4, len(ALPHABET) + 1)
    reader.slide, reader.forward = (lambda *_: None), (lambda _: logits)
    strips = [[torch.zeros(2, 4, 2)], [torch.zeros(2, 3, 2)]]
    words = [[torch.tensor([5, 5])], [torch.tensor([7])]]
    expected = []
    for row, width, word in zip(logits.double().softmax(dim=2), (4, 3), ([5, 5], [7])):
        ways = [
            math.prod(row[t, c].item() for t, c in enumerate(way))
            for way in itertools.product((0, *set(word)), repeat=width)
            if word_of(np.array(way)) == "".join(ALPHABET[c - 1] for c in word)
        ]
        expected.append(-math.log(sum(ways)) / len(word))
    found = reader.loss(None, strips, words)
    assert found.item() == pytest.approx(np.mean(expected), rel=1e-4)


@pytest.mark.parametrize("autocast", [False, True])
def test_every_layer_has_a_gradient_without_texts_too(autocast):
    head = build_text_head(detector_cfg("TextDragonHead", MODEL__TEXTDRAGON__READ=True), SHAPES)
    features = {n: torch.randn(2, 8, 64 // s.stride, 96 // s.stride) for n, s in SHAPES.items()}
    maps = {
        "text": torch.zeros(2, 16, 24, dtype=torch.uint8),
        "text_mask": torch.ones(2, 16, 24, dtype=torch.uint8),
        "geometry": torch.zeros(2, 6, 16, 24),
    }
    strip = torch.from_numpy(strip_of(TextSides(RECTANGLE[:, ::-1] * 0.6, reading_order=True)))
    for strips, words in (([[], []], [[], []]), ([[], [strip]], [[], [torch.tensor([3, 4])]])):
        head.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            losses = head.train()(features, maps | {"strips": strips, "words": words})
        sum(losses.values()).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())
        assert (losses["loss_reading"] > 0) == bool(strips[1])


def test_what_is_learnt_to_be_read():
    rings = [RECTANGLE + np.array((0, 40 * i)) for i in range(4)] + [RECTANGLE - (30, 0)]
    words = [" exit ", "exit", "", "naïve", "cut"]
    texts = TextInstances(rings, [False, True, False, False, False], words)
    labels = build_label_function(detector_cfg("TextDragonHead", MODEL__TEXTDRAGON__READ=True))
    maps = labels(texts, (200, 120))
    assert [word.tolist() for word in maps["words"]] == [letters_of("exit").tolist()]
    (strip,) = maps["strips"]
    np.testing.assert_allclose(strip, strip_of(TextSides(RECTANGLE, reading_order=True)), rtol=1e-5)
    crowded = labels(TextInstances([RECTANGLE[[0, 1, 2, 3]]], words=["x" * 17]), (200, 120))
    assert not crowded["words"]  # 17 equal letters need 33 columns


def test_words_are_read_from_their_beginning():
    """Texts upright, standing and upside down, on a map that says which letter lies where."""
    head = build_text_head(detector_cfg("TextDragonHead", MODEL__TEXTDRAGON__READ=True), SHAPES)
    standing = np.array([(150.0, 20), (150, 100), (130, 100), (130, 20)])
    upside_down = (RECTANGLE + np.array((0, 60)))[[2, 3, 0, 1]]
    texts = TextInstances([RECTANGLE, standing, upside_down])
    size = (120, 160)
    maps = build_label_function(detector_cfg("TextDragonHead"))(texts, size)
    features = torch.zeros(len(ALPHABET) + 1, 30, 40)
    for ring in texts.polygons:
        for number, start in ((letters_of("a")[0], 0.0), (letters_of("b")[0], 0.5)):
            along = ring[1] - ring[0]
            for y, x in itertools.product(range(30), range(40)):
                at = np.array((4 * x + 2, 4 * y + 2)) - ring[0]
                share = at @ along / (along @ along)
                across = at @ (ring[3] - ring[0]) / 400
                if 0 < across < 1 and start < share < start + 0.5:
                    features[number, y, x] = 1
    head.reader.forward = lambda slid: slid.mean(dim=2).transpose(1, 2)
    targets = {n: torch.from_numpy(np.float32(m)) for n, m in maps.items()}
    found = head.decode(
        {"score": targets["text"][None], "geometry": targets["geometry"], "features": features},
        size,
    )
    assert found.words == ["ab"] * 3 and len(found.polygons) == 3
    del head.reader.forward
    assert head.reader.read(features[:128], []) == []
    nothing = SimpleNamespace(**{n: torch.zeros_like(m) for n, m in targets.items()})
    maps = {"score": nothing.text[None], "geometry": nothing.geometry, "features": features}
    assert head.decode(maps, size).words == []
