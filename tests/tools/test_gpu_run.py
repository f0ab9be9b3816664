"""The plans of the grids that run on a GPU: which runs, in which order, on which images."""

import importlib.util
from pathlib import Path

import pytest

from vlpt_d2.comparison.grid import read_grid
from vlpt_d2.engine import load_config

TOOL = Path(__file__).resolve().parents[2] / "tools" / "gpu_run.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("gpu_run", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_partial_grids_are_balanced(tool, tmp_path):
    runs = tool.in_order(read_grid("reading", output=tmp_path))
    arms = ("none", "VLPT", "ST", "ST trunk")
    names = [(r.arm, r.dataset, r.seed) for r in runs if r.dataset]
    main, labels = names[:12], names[12:]
    assert main == [(a, "ICDAR2015", s) for s in (1, 2, 3) for a in arms]
    assert [s for _, _, s in labels] == [1] * 8 + [2] * 8 + [3] * 8
    assert {d for _, d, _ in labels} == {"ICDAR2015 200", "ICDAR2015 50"}
    started = set()
    for run in runs:  # each after its pre-training
        assert run.start is None or run.start in started
        started.add(run)
    second = [r for r in runs if r.seed == 2]
    assert {r.start.arm for r in second if r.trunk_only} == {"ST"}
    assert {r.arm for r in second if r.trunk_only} == {"ST trunk"}


def test_arms_see_the_same_images(tmp_path):
    grids = [read_grid(name, output=tmp_path) for name in ("reading", "reading_arms")]
    runs = [r for grid in grids for r in grid.runs if not r.dataset and r.seed == 1]
    assert [r.arm for r in runs] == ["VLPT", "ST", "VLPT+regions", "STKM", "oCLIP"]
    for run in runs:
        cfg = load_config(run.config, run.options)
        assert list(cfg.DATASETS.TRAIN) == ["plain_train"]
        assert cfg.SOLVER.IMS_PER_BATCH * cfg.SOLVER.MAX_ITER == 204_800
        assert cfg.SOLVER.BASE_LR == 0.0005
        size = cfg.INPUT.DETECTION.TRAIN_SIZE if run.arm == "ST" else cfg.INPUT.PRETRAIN.SIZE
        assert size == (128, 128)


def test_steps_of_the_paper_are_counted(tool):
    options = ["SOLVER.IMS_PER_BATCH", "2", "INPUT.DETECTION.TRAIN_SIZE", "(64, 64)"]
    cfg = load_config("quickstart/db_rendered.yaml", [*options, "NUM_THREADS", "1"])
    images, ms, rate, tflop, *_ = tool.measure_step(cfg)
    assert images == 2 and rate == pytest.approx(2000 / ms)
    # Twice the batch: twice the work.
    cfg = load_config("quickstart/db_rendered.yaml", ["SOLVER.IMS_PER_BATCH", "4", *options[2:]])
    assert tool.measure_step(cfg)[3] == pytest.approx(2 * tflop, rel=1e-6)
