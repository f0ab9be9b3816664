"""A small grid on configs of its own, and a trainer that only pretends."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from vlpt_d2.comparison import run as run_module
from vlpt_d2.comparison.grid import read_grid
from vlpt_d2.comparison.runner import Runner

FAKE = Path(__file__).resolve().parents[1] / "helpers" / "fake_trainer.py"


@pytest.fixture
def grid_file(tmp_path):
    """Two arms, one of them trained, one detector, two seeds."""
    (tmp_path / "pretrain.yaml").write_text("SOLVER: {MAX_ITER: 10, IMS_PER_BATCH: 8}\n")
    (tmp_path / "detector.yaml").write_text(
        "SOLVER: {MAX_ITER: 10, IMS_PER_BATCH: 2}\nDATASETS: {TEST: [somewhere_test]}\n"
    )
    content = {
        "output": str(tmp_path / "out"),
        "seeds": [1, 2],
        "baseline": "random",
        "pretrainings": {
            "random": None,
            "VLPT": {"config": str(tmp_path / "pretrain.yaml")},
        },
        "detectors": {"DB": {"ICDAR2015": str(tmp_path / "detector.yaml")}},
    }
    path = tmp_path / "mini.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.fixture
def compare_grid(grid_file, monkeypatch):
    """GridRun the grid with the pretending trainer: (problems, what was said)."""

    def run(plan=None, scores=None, options=(), **settings):
        monkeypatch.setenv("FAKE_PLAN", json.dumps(plan or {}))
        monkeypatch.setenv("FAKE_SCORES", json.dumps(scores or {}))
        run_module.run_config.cache_clear()
        lines = []
        settings = {"say": lines.append, "poll": 0.01, "interval": 1000.0} | settings
        runner = Runner(trainer=[sys.executable, "-S", str(FAKE)], **settings)
        problems = runner(read_grid(str(grid_file), options).runs)
        return {run.name: text for run, text in problems.items()}, lines

    return run


@pytest.fixture
def starts(tmp_path):
    """What each start of a run noted: starts("finetune/db-icdar2015/vlpt/seed_1")."""

    def read(folder):
        path = tmp_path / "out" / folder / "starts.txt"
        return path.read_text().splitlines() if path.exists() else []

    return read
