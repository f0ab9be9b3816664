"""Sums, shares and recall of the pre-training evaluator, beside plain loops."""

import logging
import math

import pytest
import torch
import torch.nn.functional as F

from vlpt_d2.evaluation.pretrain_evaluator import PretrainEvaluator, gallery_recall


def loop_recall(queries, keys, size):
    hits = total = 0
    for start in range(0, len(queries) - size + 1, size):
        for i in range(start, start + size):
            scores = [float(queries[i] @ keys[j]) for j in range(start, start + size)]
            hits += scores.index(max(scores)) == i - start
            total += 1
    return hits / total


def test_recall_equals_a_loop_over_galleries():
    g = torch.Generator().manual_seed(0)
    keys = F.normalize(torch.randn(70, 8, generator=g), dim=1)
    queries = F.normalize(keys + 0.6 * torch.randn(70, 8, generator=g), dim=1)
    recall, control, chance = gallery_recall(queries, keys, 16)
    assert recall == pytest.approx(loop_recall(queries, keys, 16))
    assert 0.3 < recall < 1
    assert control < 0.2
    assert chance == 1 / 16


def test_constant_vectors_are_no_recall():
    ones = F.normalize(torch.ones(32, 4), dim=1)
    assert gallery_recall(ones, ones, 8)[0] == 0


def test_few_or_no_rows():
    rows = torch.eye(3)
    assert gallery_recall(rows, rows, 128) == (1.0, 0.0, 1 / 3)
    assert math.isnan(gallery_recall(torch.zeros(0, 3), torch.zeros(0, 3), 128)[0])


def output(correct, total, vector, has_words=True):
    return {
        "mlm_correct": torch.tensor(correct),
        "mlm_total": torch.tensor(total),
        "shuffled_mlm_correct": torch.tensor(0),
        "shuffled_mlm_total": torch.tensor(total),
        "image_vector": vector,
        "text_vector": vector,
        "has_words": torch.tensor(has_words),
    }


def test_results_by_hand():
    evaluator = PretrainEvaluator(gallery_size=2)
    eye = torch.eye(4)
    evaluator.process([], [output(1, 2, eye[0]), output(2, 2, eye[1])])
    evaluator.process([], [output(0, 0, eye[2], has_words=False)])
    results = evaluator.evaluate()["pretrain"]
    assert results["mlm_accuracy"] == 75.0
    assert results["shuffled_mlm_accuracy"] == 0.0
    assert results["image_to_text_r1"] == 100.0
    assert results["shuffled_text_to_image_r1"] == 0.0
    assert results["chance_r1"] == 50.0
    assert "wip_accuracy" not in results
    evaluator.reset()
    assert evaluator.evaluate()["pretrain"] == {}


def test_words_that_did_not_fit_are_counted(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("vlpt_d2"), "propagate", True)
    evaluator = PretrainEvaluator(gallery_size=2)
    evaluator.process([{"cut_tokens": 3}, {"cut_tokens": 0}, {"cut_tokens": 4}], [{}, {}, {}])
    evaluator.evaluate()
    assert "7 word pieces of 2 captions did not fit" in caplog.text
    caplog.clear()
    evaluator.reset()
    evaluator.evaluate()
    assert "did not fit" not in caplog.text


def test_gallery_of_one_is_refused():
    with pytest.raises(ValueError, match="GALLERY_SIZE"):
        PretrainEvaluator(gallery_size=1)
