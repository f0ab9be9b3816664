"""Thresholds chosen on a map for which the best pair follows by hand."""

import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog

from vlpt_d2.checkpoint import TextCheckpointer
from vlpt_d2.data.datasets.dataset import register_text_dataset
from vlpt_d2.engine import load_config
from vlpt_d2.engine.trainer import TextTrainer

TOOL = Path(__file__).resolve().parents[2] / "tools" / "choose_thresholds.py"
DATASET = "choose_thresholds_test"
SIZE = (128, 256)


def box(x, y, width=100, height=60):
    return np.float32([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])


@pytest.fixture
def dataset(tmp_path):
    """One image with two words side by side and one below."""
    words = [box(10, 2), box(130, 2), box(10, 66)]
    cv2.imwrite(str(tmp_path / "img_1.png"), np.zeros((*SIZE, 3), np.uint8))
    record = {
        "file_name": str(tmp_path / "img_1.png"),
        "height": SIZE[0],
        "width": SIZE[1],
        "image_id": 1,
        "annotations": [
            {
                "bbox": [*w[0].tolist(), *w[2].tolist()],
                "bbox_mode": 0,
                "category_id": 0,
                "segmentation": [w.ravel().tolist()],
                "iscrowd": 0,
                "text": "word",
            }
            for w in words
        ],
    }
    register_text_dataset(DATASET, lambda: [record], "icdar2015")
    yield words
    DatasetCatalog.remove(DATASET)


def predicted(words):
    """What makes the best pair 0.35 and 0.45.

    Two words at 0.9 hang together by a bridge of 0.32, so they are two only above it; the third is
    seen at 0.47 and lost above it; where nothing is, a shape of 0.43 must be dropped.
    """
    probability = np.zeros(SIZE, np.float32)
    for word, value in zip(words, (0.9, 0.9, 0.47)):
        # 100 x 60 shrinks by 15.75 on each side.
        x, y = (word[0] + 16).astype(int)
        probability[y : y + 28, x : x + 68] = value
    probability[25:35, 90:150] = np.maximum(probability[25:35, 90:150], 0.32)
    probability[80:110, 140:240] = 0.43
    return torch.from_numpy(probability)[None]


def test_the_best_pair_by_hand(dataset, tmp_path, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("choose_thresholds", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    build = TextTrainer.build_model

    def with_known_maps(cfg):
        model = build(cfg)
        maps = {"probability": predicted(dataset)}
        model.predict_maps = lambda batch: [(maps, SIZE) for _ in batch]
        return model

    config, weights = "quickstart/db_icdar2015.yaml", str(tmp_path / "model.pth")
    options = ["MODEL.WEIGHTS", weights, "MODEL.DB.NECK_CHANNELS", "16", "NUM_THREADS", "1"]
    options += ["INPUT.DETECTION.TEST_RESIZE", "native"]
    model = build(load_config(config, options))
    TextCheckpointer(model, str(tmp_path)).save("model")
    monkeypatch.setattr(TextTrainer, "build_model", with_known_maps)
    arguments = ["--config-file", config, "--dataset", DATASET]
    arguments += ["--grid", "0.2", "0.35", "0.45", "0.5"]
    monkeypatch.setattr(sys, "argv", ["choose_thresholds.py", *options, *arguments])
    tool.main()

    printed = capsys.readouterr().out.strip().splitlines()
    assert printed[-1] == "MODEL.DB.BINARY_THRESH 0.35 MODEL.DB.BOX_THRESH 0.45"
    rows = {tuple(map(float, line.split()[:2])): line.split()[2:] for line in printed[2:-1]}
    perfect = ["100.00", "100.00", "100.00"]
    assert list(rows)[:4] == [(0.35, 0.45), (0.45, 0.2), (0.45, 0.35), (0.45, 0.45)]
    assert all(scores == perfect for scores in list(rows.values())[:4])
    # The false shape too: one of four is wrong. Without the weak word: one of three is missing.
    assert rows[0.35, 0.2] == rows[0.35, 0.35] == ["75.00", "100.00", "85.71"]
    assert rows[0.35, 0.5] == ["100.00", "66.67", "80.00"]
