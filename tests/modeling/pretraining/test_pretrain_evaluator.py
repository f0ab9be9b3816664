"""Sums, shares and recall of the pre-training evaluator, beside plain loops."""

import logging
import math

import pytest
import torch
import torch.nn.functional as F

from vlpt_d2.modeling.pretraining.evaluator import PretrainEvaluator, Recall, gallery_recall


def loop_recall(queries, keys, texts, size, shift=0):
    """Share of queries whose best key reads like the row ``shift`` behind, in its gallery."""
    hits = total = 0
    for start in range(0, len(queries) - size + 1, size):
        for i in range(size):
            scores = [float(queries[start + i] @ keys[start + j]) for j in range(size)]
            best = scores.index(max(scores))
            hits += texts[start + best] == texts[start + (i + shift) % size]
            total += 1
    return hits / total


def noisy(n):
    g = torch.Generator().manual_seed(0)
    keys = F.normalize(torch.randn(n, 8, generator=g), dim=1)
    return F.normalize(keys + 0.6 * torch.randn(n, 8, generator=g), dim=1), keys


def test_recall_equals_a_loop_over_galleries():
    queries, keys = noisy(70)
    texts = torch.arange(70)
    measured = gallery_recall(queries, keys, texts, 16)
    assert measured.recall == pytest.approx(loop_recall(queries, keys, texts, 16))
    assert 0.3 < measured.recall < 1
    assert measured.control == pytest.approx(loop_recall(queries, keys, texts, 16, shift=1))
    assert (measured.chance, measured.unmatched) == (1 / 16, 1.0)


def test_equal_captions_count_as_hits():
    queries, keys = noisy(64)
    texts = torch.arange(64)
    texts[1::16] = texts[0::16]  # in each gallery of 16 two read the same,
    queries[0::16] = keys[1::16]  # and the first finds the second
    measured = gallery_recall(queries, keys, texts, 16)
    assert measured.recall == loop_recall(queries, keys, texts, 16)
    assert measured.recall > gallery_recall(queries, keys, torch.arange(64), 16).recall
    assert measured.control == loop_recall(queries, keys, texts, 16, shift=1)
    assert measured.chance == pytest.approx((14 + 2 * 2) / 16 / 16)
    assert measured.unmatched == 14 / 16
    # A perfect model gives equal captions equal vectors, and reaches 100 %.
    perfect = torch.eye(64)[:, [i - (i % 16 == 1) for i in range(64)]].T
    assert gallery_recall(perfect, perfect, texts, 16).recall == 1.0
    assert gallery_recall(perfect, perfect, torch.arange(64), 16).recall == measured.unmatched


def test_constant_vectors_are_no_recall():
    ones = F.normalize(torch.ones(32, 4), dim=1)
    assert gallery_recall(ones, ones, torch.arange(32), 8).recall == 0
    assert gallery_recall(ones, ones, torch.arange(32) // 2, 8).recall == 0


def test_few_or_no_rows():
    rows = torch.eye(3)
    assert gallery_recall(rows, rows, torch.arange(3), 128) == Recall(1.0, 0.0, 1 / 3, 1.0)
    empty = torch.zeros(0, 3)
    assert math.isnan(gallery_recall(empty, empty, torch.arange(0), 128).recall)


def output(correct, total, vector, has_words=True, text=None):
    return {
        "mlm_correct": torch.tensor(correct),
        "mlm_total": torch.tensor(total),
        "shuffled_mlm_correct": torch.tensor(0),
        "shuffled_mlm_total": torch.tensor(total),
        "image_vector": vector,
        "text_vector": vector,
        "has_words": torch.tensor(has_words),
        "text_key": torch.tensor(int(vector.argmax()) if text is None else text),
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
    assert results["plain_ceiling_r1"] == 100.0
    assert "wip_accuracy" not in results
    evaluator.reset()
    assert evaluator.evaluate()["pretrain"] == {}


def test_a_perfect_model_of_equal_captions_by_hand():
    evaluator = PretrainEvaluator(gallery_size=4)
    eye = torch.eye(4)
    rows = [(eye[0], 7), (eye[1], 8), (eye[0], 7), (eye[2], 9)]
    evaluator.process([], [output(1, 1, vector, text=text) for vector, text in rows])
    results = evaluator.evaluate()["pretrain"]
    assert results["image_to_text_r1"] == results["text_to_image_r1"] == 100.0
    assert results["plain_ceiling_r1"] == 50.0
    assert results["chance_r1"] == pytest.approx(100 * (2 + 1 + 2 + 1) / 16)


def test_words_that_did_not_fit_are_counted(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("vlpt_d2"), "propagate", True)
    evaluator = PretrainEvaluator(gallery_size=2)
    evaluator.process([{"cut_tokens": 3}, {"cut_tokens": 0}, {"cut_tokens": 4}], [{}, {}, {}])
    evaluator.evaluate()
    assert "7 tokens of 2 captions did not fit" in caplog.text
    caplog.clear()
    evaluator.reset()
    evaluator.evaluate()
    assert "did not fit" not in caplog.text


def test_gallery_of_one_is_refused():
    with pytest.raises(ValueError, match="at least 2 images, not 1"):
        PretrainEvaluator(gallery_size=1)


def test_whatever_a_task_counts_is_measured():
    evaluator = PretrainEvaluator()
    counted = ({"order_correct": 3, "order_total": 4, "order_loss": 9}, {"order_total": 1})
    for output in counted:
        evaluator.process([{}], [output])
    assert evaluator.evaluate()["pretrain"] == {"order_accuracy": 60.0}
