from collections import Counter

import numpy as np
import pytest

from vlpt_d2.data.rendering import PRESETS, resolve_settings
from vlpt_d2.data.rendering.words import build_word_source

_PLAIN = {"numbers": 0.0, "punctuation": 0.0}


def _draw(overrides, count, case=0):
    source = build_word_source(resolve_settings("default", {**_PLAIN, **overrides}))
    rng = np.random.default_rng(0)
    return [source.draw(rng, case) for _ in range(count)]


def test_zipf_law_gives_the_shares_of_its_formula():
    words = ("alpha", "beta", "gamma", "delta")
    counts = Counter(_draw({"word_list": words, "zipf": 2.0}, 20_000))
    weights = np.array([1 / (rank + 2.7) ** 2 for rank in range(4)])
    shares = np.array([counts[word] for word in words]) / 20_000
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=0.015)


def test_max_words_keeps_the_most_frequent():
    assert set(_draw({"max_words": 5, "word_length": (2, 14), "zipf": 0.0}, 500)) == {
        # The five most frequent words of two letters or more, as BERT's vocabulary lists them.
        *("the", "of", "and", "in", "to"),
    }


def test_word_length_and_case():
    words = _draw({"word_length": (3, 4)}, 200, case=2)
    assert {len(word) for word in words} == {3, 4}
    assert all(word.isupper() for word in words)
    assert all(word.istitle() for word in _draw({}, 50, case=1))


def test_numbers_and_punctuation_appear_at_their_shares():
    words = _draw({"numbers": 0.25, "punctuation": 0.0}, 4000)
    assert np.mean([any(c.isdigit() for c in word) for word in words]) == pytest.approx(
        0.25, abs=0.02
    )
    words = _draw({"punctuation": 0.4}, 4000)
    assert np.mean([not word.isalpha() for word in words]) == pytest.approx(0.4, abs=0.025)
    assert all(" " not in word and word for word in words)


def test_word_file_with_weights(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("rare\t1\ncommon\t9\n", encoding="utf-8")
    words = Counter(_draw({"words": str(path)}, 5000))
    assert words["common"] / 5000 == pytest.approx(0.9, abs=0.02)
    path.write_text("good\t1\nbad\tmany\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"words.txt:2: the weight 'many'"):
        build_word_source(resolve_settings("default", {"words": str(path), "zipf": 0.5}))


def test_missing_word_file_and_undrawable_words_are_refused():
    with pytest.raises(FileNotFoundError, match="vocabulary"):
        build_word_source(resolve_settings("default", {"words": "nowhere.txt"}))
    with pytest.raises(ValueError, match="naïve"):
        build_word_source(resolve_settings("default", {"word_list": ("naïve",)}))


def test_quickstart_words_are_at_most_a_hundred_and_single_tokens():
    words = PRESETS["quickstart"].word_list
    assert len(set(words)) == len(words) <= 100
    vocabulary = set(_vocabulary())
    assert set(words) <= vocabulary


def _vocabulary():
    from importlib import resources

    path = resources.files("vlpt_d2.data.text") / "assets" / "bert_base_uncased_vocab.txt"
    return path.read_text(encoding="utf-8").split("\n")
