"""Progress of an evaluation."""

import logging

import torch
from detectron2.evaluation import DatasetEvaluator, inference_on_dataset

from vlpt_d2.engine import progress
from vlpt_d2.engine.progress import LoggedProgress


def test_progress_counts_images_and_estimates_the_time_left(monkeypatch, caplog):
    now = iter([0.0, 4.0, 12.0, 16.0, 30.0, 30.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    batches = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10]]
    with caplog.at_level(logging.INFO, progress.__name__):
        loader = LoggedProgress(batches, "icdar2015_test", interval=10)
        assert len(loader) == 4
        assert list(loader) == batches
    # After 12 s two of four batches are done: as long again. The third comes within 10 s of it.
    assert [record.getMessage() for record in caplog.records] == [
        "icdar2015_test: 6 images, 2 of 4 batches, 0.50 images/s, ETA 0:00:12",
        "icdar2015_test: 10 images, 4 of 4 batches, 0.33 images/s, ETA 0:00:00",
        "icdar2015_test: 10 images in 30 s; computing the results",
    ]


def test_detectron2_does_not_log_the_same_again(caplog):
    """Twelve batches, as many as its own lines need; a line every 0 s."""
    evaluator = type("Evaluator", (DatasetEvaluator,), {"process": lambda *args: None})()
    model = torch.nn.Identity()
    with caplog.at_level(logging.INFO):
        loader = LoggedProgress([[i] for i in range(12)], "x", interval=0)
        inference_on_dataset(model, loader, evaluator)
    told = [record.getMessage() for record in caplog.records]
    assert sum(line.startswith("x: ") and "ETA" in line for line in told) == 12
    assert any(line.startswith("Start inference on 12 batches") for line in told)
    assert not any("Inference done" in line for line in told)
