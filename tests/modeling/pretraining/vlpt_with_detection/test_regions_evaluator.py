"""Regions found by the head beside VLPT, counted by hand."""

import numpy as np
import pytest
import torch

from vlpt_d2.config import get_cfg
from vlpt_d2.modeling.pretraining import VLPTWithDetection
from vlpt_d2.modeling.pretraining.vlpt_with_detection.evaluator import RegionsEvaluator
from vlpt_d2.structures import TextInstances


def box(x, y, width=10, height=6):
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], float)


def test_three_of_four_texts_and_one_false_alarm():
    evaluator = VLPTWithDetection.build_evaluator(get_cfg())
    assert isinstance(evaluator, RegionsEvaluator)
    counts = {"mlm_correct": torch.tensor(1), "mlm_total": torch.tensor(2)}
    inputs = [
        {"regions": TextInstances([box(0, 0), box(20, 0)])},
        {"regions": TextInstances([box(0, 0), box(20, 0), box(40, 0)], [False, False, True])},
    ]
    outputs = [
        {**counts, "region_polygons": [box(1, 0), box(40, 40)]},
        {**counts, "region_polygons": [box(0, 0), box(20, 1), box(40, 0)]},
    ]
    evaluator.process(inputs, outputs)
    results = evaluator.evaluate()["pretrain"]
    # Of the five detections one lies on a don't-care region.
    assert results["region_precision"] == pytest.approx(75.0)
    assert results["region_recall"] == pytest.approx(75.0)
    assert results["region_hmean"] == pytest.approx(75.0)
    assert results["mlm_accuracy"] == 50.0
    evaluator.reset()
    evaluator.process(inputs[:1], [{**counts, "region_polygons": []}])
    assert evaluator.evaluate()["pretrain"]["region_recall"] == 0.0
