"""oCLIP's results, by hand."""

import logging

import torch

from vlpt_d2.config import get_cfg
from vlpt_d2.modeling.pretraining import OCLIP
from vlpt_d2.modeling.pretraining.oclip.evaluator import OclipEvaluator


def output(correct, shuffled, total, vector):
    return {
        "characters_correct": torch.tensor(correct),
        "characters_total": torch.tensor(total),
        "shuffled_characters_correct": torch.tensor(shuffled),
        "shuffled_characters_total": torch.tensor(total),
        "image_vector": vector,
        "text_vector": vector,
        "has_words": torch.tensor(total > 0),
        "text_key": vector.argmax(),
    }


def test_results_by_hand(monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("vlpt_d2"), "propagate", True)
    caplog.set_level(logging.INFO, logger="vlpt_d2")
    evaluator = OCLIP.build_evaluator(get_cfg())
    assert isinstance(evaluator, OclipEvaluator)
    eye = torch.eye(4)
    left_out = {"word_counts": {"left_out_words": 2, "cut_words": 0}}
    evaluator.process([left_out, left_out], [output(1, 0, 2, eye[0]), output(2, 1, 2, eye[1])])
    evaluator.process([{}], [output(0, 0, 0, eye[2])])
    results = evaluator.evaluate()["pretrain"]
    assert results["characters_accuracy"] == 75.0
    assert results["shuffled_characters_accuracy"] == 25.0
    assert results["image_to_text_r1"] == results["text_to_image_r1"] == 100.0
    assert results["shuffled_image_to_text_r1"] == 0.0
    assert results["chance_r1"] == 50.0
    assert "mlm_accuracy" not in results
    assert "4 left_out_words" in caplog.text and "cut_words" not in caplog.text
    evaluator.reset()
    assert evaluator.evaluate()["pretrain"] == {}
