"""The verb that measures a detector."""

import re

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
    assert "training step, 2 images of 64 x 96: " in training
    assert "inference, 1 image of 64 x 96: " in inference
    names = [line.split("  ")[0] for line in training.splitlines()[3:]]
    stages = ["data", "backbone", "neck", "head, loss", "backward", "optimiser", "other", "all"]
    assert names == stages
    names = [line.split("  ")[0] for line in inference.splitlines()[3:]]
    assert names == ["data", "backbone", "neck", "head", "decode", "other", "all"]
    flop = []
    for table in (training, inference):
        assert float(re.search(r"peak memory (\d+) MiB", table)[1]) > 10  # python alone has more
        flop.append(float(re.search(r"([\d.]+) GFLOP an image", table)[1]))
        rows = [[float(x) for x in line.split()[-2:]] for line in table.splitlines()[3:]]
        assert all(row[0] >= 0 for row in rows)
        *stages, (total, _) = rows
        # Each is rounded to a tenth of a millisecond, of which a fast CPU needs few.
        rounding = 0.05 * len(rows)
        assert 0.5 * total - rounding < sum(row[0] for row in stages) < 1.01 * total + rounding
    # The gradients at the inputs and at the weights take as much as the forward pass each. Both
    # are rounded to a hundredth, of which a small head has one or none.
    assert flop[0] == pytest.approx(3 * flop[1], rel=0.3, abs=0.02)


def test_wrong_requests(tmp_path, capsys):
    assert main(["profile", "--config-file", "quickstart/pretrain.yaml", "--warmup", "0"]) == 2
    assert "MODEL.META_ARCHITECTURE to TextDetector" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["profile", "--config-file", "quickstart/db_rendered.yaml", "--steps", "0"])
    assert "--steps: 0 is not positive" in capsys.readouterr().err
