"""Peaks, hits and their baselines, by hand."""

import numpy as np
import pytest
import torch

from vlpt_d2.data.text.masking import IGNORE_INDEX
from vlpt_d2.modeling.pretraining.evaluator import PretrainEvaluator
from vlpt_d2.modeling.pretraining.pointing import peak_of, point_at_words, pointing_results


def box(x0, y0, x1, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


def peaks(*cells, layers=1, grid=(4, 4)):
    """(layers, K, h, w) with a little everywhere and most of it at one cell of each token."""
    maps = torch.full((len(cells), *grid), 0.01)
    for token, (row, column) in enumerate(cells):
        maps[token, row, column] = 0.5
    return maps.repeat(layers, 1, 1, 1)


def sample(polygons, token_words, masked=(), size=(64, 64)):
    labels = torch.full((len(token_words),), IGNORE_INDEX)
    labels[list(masked)] = 7
    return {
        "image": torch.zeros(3, *size, dtype=torch.uint8),
        "token_words": torch.tensor(token_words),
        "mlm_labels": labels,
        "word_polygons": polygons,
    }


TOP_LEFT, BOTTOM = box(0, 0, 32, 16), box(0, 48, 64, 80)  # the second leaves the image


def test_the_peak_is_the_centre_of_its_cell():
    assert peak_of(peaks((1, 3))[0, 0].numpy(), (64, 128)) == (56 / 128, 24 / 64)


def test_a_token_lies_where_the_fusion_samples():
    first = peaks((1, 3))[0, 0].numpy()
    assert peak_of(first, (64, 128), 0.25) == (52 / 128, 20 / 64)
    # The top left quarter of the first cell holds its first 8 pixels, not its middle.
    item = sample([[box(0, 0, 7, 7)]], [0])
    assert [point_at_words(item, peaks((0, 0)), centre=c)[0].hit for c in (0.25, 0.5)] == [
        True,
        False,
    ]
    # 37 pixels: a token at 32 + 4 is in the image, one at 32 + 8 is in its padding.
    item = sample([[box(0, 0, 30, 30)]], [0], size=(37, 48))
    grids = [point_at_words(item, peaks((0, 0)), centre=c)[0].grid for c in (0.25, 0.5)]
    assert grids == [(3, 3), (2, 3)]


def test_hits_and_baselines_by_hand():
    words = [[TOP_LEFT], [BOTTOM]]
    # tokens: [CLS], two of word 0, one of word 1
    first = sample(words, [-1, 0, 0, 1], masked=[1, 2, 3])
    found = point_at_words(
        first,
        peaks((3, 3), (0, 1), (0, 1), (2, 2)),
        peaks((0, 0), (1, 1), (1, 1), (3, 0)),
    )
    assert [w.hit for w in found] == [True, False]
    assert [w.shuffled_hit for w in found] == [False, True]
    assert [w.on_text for w in found] == [True, False]
    assert [w.region.area for w in found] == pytest.approx([1 / 8, 1 / 4])
    second = sample([[box(33, 33, 47, 39)]], [-1, 0], masked=[1])  # between cells' centres
    found += point_at_words(second, peaks((0, 0), (2, 2)))
    results = pointing_results(found)
    # Centres (16, 8), (32, 56), (40, 36) of 64: their mean is (29.33, 33.33), in no word.
    assert results == {
        "accuracy": pytest.approx(100 / 3),
        "shuffled": pytest.approx(50),
        "chance": pytest.approx(100 * (1 / 8 + 1 / 4 + 14 * 6 / 4096) / 3),
        "centre": 0,
        "best_place": pytest.approx(100 / 3),
        "on_text": pytest.approx(100 / 3),
        "reachable": pytest.approx(200 / 3),
    }
    assert pointing_results(found[:1] * 3)["centre"] == 100
    assert pointing_results([]) == {}


def test_any_place_of_a_repeated_word_counts():
    places = [box(0, 0, 16, 16), box(48, 48, 64, 64)]
    for cell, hit in (((0, 0), True), ((3, 3), True), ((1, 1), False)):
        (word,) = point_at_words(sample([places], [0]), peaks(cell))
        assert (word.hit, word.masked) == (hit, False)
        assert word.region.area == pytest.approx(1 / 8)


def test_tokens_of_a_word_are_averaged():
    maps = torch.zeros(1, 2, 1, 4)
    maps[0, 0, 0] = torch.tensor([0.5, 0.0, 0.4, 0.0])
    maps[0, 1, 0] = torch.tensor([0.0, 0.5, 0.4, 0.0])
    (word,) = point_at_words(sample([[box(32, 0, 48, 16)]], [0, 0], size=(16, 64)), maps)
    assert word.hit


def test_layers_are_chosen_or_averaged():
    first, second = peaks((0, 0)), peaks((3, 3))
    second[0, 0, 3, 3] = 0.9
    maps = torch.cat([first, second])
    item = sample([[box(0, 0, 16, 16)]], [0])
    assert [point_at_words(item, maps, layers=n)[0].hit for n in ([], [0], [1])] == [
        False,
        True,
        False,
    ]
    with pytest.raises(ValueError, match="TEST.POINTING_LAYERS"):
        point_at_words(item, maps, layers=[2])


def test_padding_is_no_place_to_look():
    # 40 x 48 pixels in a padded map of 64 x 64: the cells of row 2 have their centre at 40.
    item = sample([[box(0, 0, 48, 40)]], [0], size=(40, 48))
    maps = peaks((2, 0))
    maps[0, 0, 1, 2] = 0.4
    (word,) = point_at_words(item, maps)
    assert word.grid == (2, 3)
    assert word.hit


def test_what_cannot_be_asked_for_is_left_out():
    half_masked = sample([[TOP_LEFT]], [0, 0], masked=[0])
    outside = sample([[box(70, 0, 80, 10)]], [0])
    nowhere, unnamed = sample([[]], [0]), sample([[TOP_LEFT]], [-1])
    for item in (half_masked, outside, nowhere, unnamed):
        assert point_at_words(item, peaks((0, 0), (0, 0))[:, : len(item["token_words"])]) == []


def test_evaluator_reports_masked_and_shown_words_apart():
    evaluator = PretrainEvaluator(gallery_size=2)
    item = sample([[TOP_LEFT], [BOTTOM]], [0, 1], masked=[1])
    output = {"attention": peaks((0, 0), (0, 0)), "shuffled_attention": peaks((3, 3), (3, 3))}
    evaluator.process([item, {}], [output, {}])
    results = evaluator.evaluate()["pretrain"]
    assert results["pointing_accuracy"] == 0
    assert results["shuffled_pointing_accuracy"] == 100
    assert results["shown_pointing_accuracy"] == 100
    assert results["shuffled_shown_pointing_accuracy"] == 0
    assert results["pointing_chance"] == pytest.approx(25)
    assert results["shown_pointing_centre"] == 100
    evaluator.reset()
    assert evaluator.evaluate()["pretrain"] == {}
