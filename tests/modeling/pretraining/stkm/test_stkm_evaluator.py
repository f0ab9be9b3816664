"""The sums of STKM's evaluator, by hand."""

import math

import pytest
import torch

from vlpt_d2.config import get_cfg
from vlpt_d2.modeling.pretraining import STKM
from vlpt_d2.modeling.pretraining.stkm.characters import encode_words
from vlpt_d2.modeling.pretraining.stkm.evaluator import STKMEvaluator


def sample(caption, left_out=0):
    return {"caption": caption, "words_left_out": left_out}


def output(read, correct, total, shuffled=None):
    made = {
        "reading": torch.from_numpy(encode_words(read, 30)[0]),
        "next_correct": torch.tensor(correct),
        "next_total": torch.tensor(total),
    }
    if shuffled is not None:
        made["shuffled_reading"] = torch.from_numpy(encode_words(shuffled, 30)[0])
        made["shuffled_next_correct"] = torch.tensor(1)
    return made


def test_results_by_hand():
    evaluator = STKM.build_evaluator(get_cfg())
    assert isinstance(evaluator, STKMEvaluator)
    evaluator.process(
        [sample("a cafés"), sample("open")],
        [
            output(["a", "caf§s", "x"], 3, 9, shuffled=["open"]),
            output(["shut"], 1, 6, shuffled=["a"]),
        ],
    )
    evaluator.process([sample("", left_out=2)], [output([], 1, 1)])
    results = evaluator.evaluate()["pretrain"]
    # "a caf?s x" for "a caf?s": distance 2 of 9; "shut" for "open": 4 of 4; nothing for nothing.
    assert results["character_accuracy"] == pytest.approx(100 * (7 / 9 + 0 + 1) / 3)
    assert results["word_recall"] == pytest.approx(100 * 2 / 3)
    assert results["word_precision"] == pytest.approx(100 * 2 / 4)
    assert results["next_character_accuracy"] == pytest.approx(100 * 5 / 16)
    # "open" for "a caf?s": 7 places, none right; "a" for "open": 4. One alone has no control.
    assert results["shuffled_character_accuracy"] == 0
    assert results["shuffled_word_recall"] == 0
    assert results["shuffled_next_character_accuracy"] == pytest.approx(100 * 2 / 15)


def test_nothing_read_and_no_control():
    evaluator = STKMEvaluator()
    evaluator.process([sample("a")], [output([], 0, 3)])
    results = evaluator.evaluate()["pretrain"]
    assert results["word_recall"] == results["character_accuracy"] == 0
    assert math.isnan(results["word_precision"])
    assert not [name for name in results if name.startswith("shuffled_")]
    evaluator.reset()
    assert evaluator.evaluate()["pretrain"] == {}
