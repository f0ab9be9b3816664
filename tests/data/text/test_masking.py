"""Whole-word masking: budgets, whole words, shares, and captions without words."""

import numpy as np
import pytest

from vlpt_d2.data.text.masking import IGNORE_INDEX, mask_tokens, masking_budget, select_words
from vlpt_d2.data.text.tokenizer import build_tokenizer


def mask(encoding, rng, probability=0.15, budget="tokens", shares=(0.8, 0.1)):
    return mask_tokens(
        encoding,
        probability=probability,
        budget=budget,
        mask_share=shares[0],
        random_share=shares[1],
        mask_id=103,
        vocabulary_size=30522,
        rng=rng,
    )


@pytest.mark.parametrize(
    ("tokens", "probability", "budget", "expected"),
    [
        (28, 0.15, "tokens", 4),
        (3, 0.15, "tokens", 1),
        (0, 0.15, "tokens", 0),
        (3, 0.15, "slots", 4),  # round(4.5) of the 30 slots, as in the release
        (28, 0.0, "tokens", 0),
    ],
)
def test_budget(tokens, probability, budget, expected):
    assert masking_budget(tokens, 30, probability, budget) == expected


def test_words_are_selected_whole():
    encoding = build_tokenizer("", 30).encode("unaffable exits bookshops theatre unbelievable")
    rng = np.random.RandomState(0)
    hit = np.zeros(5)
    for _ in range(200):
        selected = select_words(encoding, 0.3, "tokens", rng)
        for w in range(encoding.words.max() + 1):
            assert len(set(selected[encoding.words == w])) == 1
        assert selected[encoding.words < 0].sum() == 0
        hit += [selected[encoding.words == w].all() for w in range(5)]
    assert (hit > 0).all()


def test_budget_is_kept_and_at_least_one_word_is_selected():
    encoding = build_tokenizer("", 30).encode("one two three four five six seven eight nine ten")
    rng = np.random.RandomState(1)
    for probability, expected in ((0.01, 1), (0.2, 2), (0.5, 5)):
        counts = {select_words(encoding, probability, "tokens", rng).sum() for _ in range(50)}
        assert counts == {expected}
    long = build_tokenizer("", 30).encode("unaffable")
    assert select_words(long, 0.15, "tokens", rng).sum() == 3


def test_slots_may_leave_short_captions_unmasked():
    encoding = build_tokenizer("", 30).encode("exit")
    rng = np.random.RandomState(2)
    counts = [select_words(encoding, 0.15, "slots", rng).sum() for _ in range(2000)]
    # 4 draws from 1 word and 27 padding slots: the word is among them 4 times in 28.
    assert np.mean(counts) == pytest.approx(4 / 28, abs=0.03)


def test_shown_ids_follow_the_shares():
    encoding = build_tokenizer("", 30).encode("a b c d e f g h i j k l m n o p q r s t u v")
    rng = np.random.RandomState(3)
    shown_as = {"mask": 0, "same": 0, "random": 0}
    for _ in range(500):
        shown, labels = mask(encoding, rng, probability=0.5)
        selected = labels != IGNORE_INDEX
        assert (shown[~selected] == encoding.ids[~selected]).all()
        assert (labels[selected] == encoding.ids[selected]).all()
        masked = shown[selected] == 103
        same = shown[selected] == encoding.ids[selected]
        shown_as["mask"] += masked.sum()
        shown_as["same"] += same.sum()
        shown_as["random"] += (~masked & ~same).sum()
    total = sum(shown_as.values())
    assert shown_as["mask"] / total == pytest.approx(0.8, abs=0.02)
    assert shown_as["same"] / total == pytest.approx(0.1, abs=0.02)
    assert shown_as["random"] / total == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("budget", ["tokens", "slots"])
def test_empty_caption_has_nothing_to_predict(budget):
    encoding = build_tokenizer("", 30).encode("")
    shown, labels = mask(encoding, np.random.RandomState(0), budget=budget)
    assert (labels == IGNORE_INDEX).all()
    assert (shown == encoding.ids).all()


def test_unknown_budget_is_refused():
    with pytest.raises(ValueError, match="must be .tokens. or .slots."):
        masking_budget(3, 30, 0.15, "words")
