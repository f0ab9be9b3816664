"""Thresholds chosen on held-out images."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Instances

from vlpt_d2.config import get_cfg
from vlpt_d2.data.datasets.rendered import register_rendered
from vlpt_d2.engine.thresholds import score_thresholds
from vlpt_d2.evaluation import TextEvaluator
from vlpt_d2.structures import Polygons

FALSE_ALARM = np.float32([(1, 1), (3, 1), (3, 3), (1, 3)])


class SureOfTruth:
    """Finds every text with 0.55 and one speck an image with 0.25."""

    def __init__(self):
        keys = {"first": "MODEL.X.FIRST", "second": "MODEL.X.SECOND"}
        self.text_head = SimpleNamespace(
            decoding={"first": 0.5, "second": 0.6, "other": 7}, threshold_keys=keys
        )
        self.runs = 0

    def predict_maps(self, batch):
        self.runs += len(batch)
        return [({}, (s["height"], s["width"])) for s in batch]

    def decode(self, maps, size, sample):
        decoding = self.text_head.decoding
        assert decoding["other"] == 7
        polygons = [np.float32(ring) for ring in sample["texts"].polygons] + [FALSE_ALARM]
        scores = np.array([0.55] * (len(polygons) - 1) + [0.25])
        keep = np.flatnonzero(scores > max(decoding["first"], decoding["second"]))
        return Instances(
            size,
            scores=torch.as_tensor(scores[keep]),
            pred_polygons=Polygons([polygons[i] for i in keep]),
        )


def test_every_pair_is_measured_and_the_best_comes_first():
    name = "rendered_for_thresholds"
    register_rendered(name, "quickstart", {"words_per_image": (1, 1)}, size=4)
    cfg = get_cfg()
    cfg.DATALOADER.NUM_WORKERS = 0
    model = SureOfTruth()
    try:
        rows = score_thresholds(cfg, model, name, grid=(0.1, 0.3, 0.5, 0.6))
    finally:
        DatasetCatalog.remove(name)
        MetadataCatalog.pop(name, None)
    assert model.runs == 4  # the network once, whatever the number of pairs
    assert model.text_head.decoding == {"first": 0.5, "second": 0.6, "other": 7}
    found = {row[:2]: row[2:] for row in rows}
    assert len(found) == 16
    # One text and one speck an image: precision 1/2, recall 1, hmean 2/3.
    assert found[0.1, 0.1] == pytest.approx((50, 100, 200 / 3))
    for pair, scores in found.items():
        if 0.6 in pair:
            assert scores == (0, 0, 0)
        elif pair != (0.1, 0.1):
            assert scores == pytest.approx((100, 100, 100))
    assert rows[0][-1] == pytest.approx(100) and rows[-1][-1] == 0


def test_images_without_ground_truth_are_no_choice(monkeypatch):
    name = "rendered_without_truth"
    register_rendered(name, "quickstart", {"words_per_image": (1, 1)}, size=2)
    monkeypatch.setattr(TextEvaluator, "evaluate", lambda self: {})
    cfg = get_cfg()
    cfg.DATALOADER.NUM_WORKERS = 0
    try:
        with pytest.raises(ValueError, match="rendered_without_truth has no ground truth"):
            score_thresholds(cfg, SureOfTruth(), name, grid=(0.5,))
    finally:
        DatasetCatalog.remove(name)
        MetadataCatalog.pop(name, None)
