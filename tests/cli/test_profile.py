"""The verb that measures a detector."""

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from helpers.detectors import HEADS, detector_cfg

from vlpt_d2.cli.main import main
from vlpt_d2.data.datasets.rendered import register_rendered


@pytest.fixture
def signs():
    register_rendered("profile_signs", "quickstart_detection", {"size": (64, 96)}, size=3)
    yield "profile_signs"
    DatasetCatalog.remove("profile_signs")
    MetadataCatalog.pop("profile_signs")


@pytest.mark.parametrize("head", HEADS)
def test_stages_of_every_head(head, signs, tmp_path, capsys):
    cfg = detector_cfg(head, "tiny")
    cfg.DATASETS.TRAIN = cfg.DATASETS.TEST = (signs,)
    cfg.INPUT.DETECTION.TRAIN_SIZE = cfg.INPUT.DETECTION.TEST_SIZE = (64, 96)
    cfg.SOLVER.IMS_PER_BATCH = 2
    (tmp_path / "config.yaml").write_text(cfg.dump())
    command = ["profile", "--config-file", str(tmp_path / "config.yaml"), "--steps", "2"]
    command += ["NUM_THREADS", "1"]
    assert main(command) == 0
    text = capsys.readouterr().out
    training, inference = text.split("\n\n")[1:]
    assert "training step, 2 images of 64 x 96" in training
    assert "inference, 1 images of 64 x 96" in inference
    stages = [line.split("  ")[0] for line in training.splitlines()[3:]]
    forward = ["data", "backbone", "neck, head", "loss"]
    assert sorted(stages) == sorted([*forward, "backward", "optimiser", "other", "all"])
    stages = [line.split("  ")[0] for line in inference.splitlines()[3:]]
    assert sorted(stages) == sorted(["data", "backbone", "neck, head", "decode", "other", "all"])
    for table in (training, inference):
        rows = [[float(x) for x in line.split()[-3:]] for line in table.splitlines()[3:]]
        times = [row[0] for row in rows]
        assert sum(times[:-1]) == pytest.approx(times[-1], abs=0.5)
        assert sum(row[1] for row in rows[:-1]) == pytest.approx(100, abs=0.5)
        assert all(row[2] > 10 for row in rows)  # MiB; python alone has more


def test_wrong_requests(tmp_path, capsys):
    assert main(["profile", "--config-file", "quickstart/pretrain.yaml", "--warmup", "0"]) == 2
    assert "MODEL.META_ARCHITECTURE to TextDetector" in capsys.readouterr().err
    assert main(["profile", "--config-file", "quickstart/db_rendered.yaml", "--steps", "0"]) == 2
    assert "--steps must be positive" in capsys.readouterr().err
