"""Thresholds chosen on held-out images."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Instances

from vlpt_d2.config import get_cfg
from vlpt_d2.data.datasets.rendered import register_rendered
from vlpt_d2.engine import TextTrainer, main
from vlpt_d2.engine.thresholds import check_thresholds, score_thresholds
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


SMALL = """
--config-file quickstart/db_rendered.yaml DATASETS.VALIDATION ('rendered_quickstart_val',)
DATASETS.TEST ('rendered_val',) MODEL.DB.NECK_CHANNELS 16 INPUT.DETECTION.TRAIN_SIZE (64,64)
SOLVER.MAX_ITER 1 SOLVER.WARMUP_ITERS 0 SOLVER.STEPS () NUM_THREADS 1 TEST.EVAL_PERIOD 1
TEST.THRESHOLDS [0.2,0.7] OUTPUT_DIR
"""


def test_the_test_images_are_measured_at_the_thresholds_chosen(tmp_path, monkeypatch):
    asked, measured = [], []

    def best(cfg, model, dataset, grid):
        asked.append((dataset, list(grid), model.training))
        return [(0.2, 0.7, 60.0, 40.0, 48.0), (0.2, 0.2, 9.0, 9.0, 9.0)]

    def test(cfg, model, datasets=None, weights=None):
        head = model.text_head
        measured.append((datasets, *(head.decoding[name] for name in head.threshold_keys)))
        return {"text": {"hmean": 46.0}}

    monkeypatch.setattr("vlpt_d2.engine.thresholds.score_thresholds", best)
    monkeypatch.setattr(TextTrainer, "test", staticmethod(test))
    assert main([*SMALL.split(), str(tmp_path)]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["test"] == {"text/hmean": 46.0}
    assert results["thresholds"] == {"MODEL.DB.BINARY_THRESH": 0.2, "MODEL.DB.BOX_THRESH": 0.7}
    # The curve of the validation keeps the config's thresholds.
    assert measured == [(("rendered_quickstart_val",), 0.35, 0.35), (("rendered_val",), 0.2, 0.7)]
    assert main([*SMALL.split(), str(tmp_path), "--eval-only", "--resume"]) == 0
    assert measured[2:] == [(None, 0.2, 0.7)]
    assert asked == [("rendered_quickstart_val", [0.2, 0.7], False)] * 2


def test_processes_choose_what_one_chooses(tmp_path, forked_processes):
    command = [
        "--config-file",
        "detection/icdar2015/db_mobile.yaml",
        "--eval-only",
        "MODEL.WEIGHTS",
        "vlpt://db_mobile",
        "DATASETS.RENDERED.NAME",
        "choice",
        "DATASETS.RENDERED.PRESET",
        "quickstart_detection",
        "DATASETS.RENDERED.VAL_SIZE",
        "6",
        "DATASETS.RENDERED.TRAIN_SIZE",
        "2",
        "DATASETS.VALIDATION",
        "('choice_val',)",
        "DATASETS.TEST",
        "('choice_train',)",
        "DATALOADER.NUM_WORKERS",
        "0",
        "INPUT.DETECTION.TEST_RESIZE",
        "fixed",
        "INPUT.DETECTION.TEST_SIZE",
        "(96,96)",
        "MODEL.DEVICE",
        "cpu",
        "NUM_THREADS",
        "1",
        "TEST.THRESHOLDS",
        "[0.2,0.6]",
        "OUTPUT_DIR",
    ]
    told = []
    for name, processes in (("one", []), ("two", ["--num-processes", "2"])):
        folder = tmp_path / name
        assert main([*command, str(folder), *processes]) == 0
        told += re.findall("thresholds chosen on .*", (folder / "log.txt").read_text())
    assert len(told) == 2 and told[0] == told[1]
    assert float(re.search(r"hmean ([\d.]+) there", told[0])[1]) > 10


@pytest.mark.parametrize(
    "change, message",
    [
        ({"DATASETS.VALIDATION": ()}, "name one dataset"),
        ({"DATASETS.VALIDATION": ("b",)}, "must not be done on the test images"),
        ({"TEST.THRESHOLDS": [0.5, 50]}, r"must be numbers in \[0, 1\]"),
        ({"MODEL.META_ARCHITECTURE": "VLPT"}, "a VLPT has no thresholds"),
    ],
)
def test_what_allows_no_choice_of_thresholds(change, message):
    cfg = get_cfg()
    cfg.MODEL.META_ARCHITECTURE = "TextDetector"
    cfg.DATASETS.VALIDATION, cfg.DATASETS.TEST = ("a",), ("b",)
    cfg.TEST.THRESHOLDS = [0.1, 1]
    check_thresholds(cfg)
    cfg.merge_from_list([word for pair in change.items() for word in pair])
    with pytest.raises(ValueError, match=message):
        check_thresholds(cfg)
