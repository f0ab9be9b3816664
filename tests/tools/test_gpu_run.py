"""The plan of the grid "photo_words": which vocabulary, which runs, in which order."""

import importlib.util
from pathlib import Path

import pytest

from vlpt_d2.comparison.grid import read_grid
from vlpt_d2.engine import load_config
from vlpt_d2.model_zoo import find_grid

TOOL = Path(__file__).resolve().parents[2] / "tools" / "gpu_run.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("gpu_run", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def grid(tool, folder, words):
    path = folder / f"grid_{words}.yaml"
    path.write_text(tool.with_words(Path(find_grid("photo_words")).read_text("utf-8"), words))
    return read_grid(str(path), output=folder)


def test_the_largest_vocabulary_that_is_read_is_chosen(tool):
    words = [500, 1000, 2000]
    assert tool.choose(words, [(80, 1), (40, 10), (30, 1)]) == 1000
    assert tool.choose(words, [(80, 1), (20, 1), (31, 1)]) == 2000
    # None is read: the best difference counts, not the best accuracy.
    assert tool.choose(words, [(25, 20), (12, 1), (5, 1)]) == 1000


def test_only_the_corpus_differs_between_vocabularies(tool, tmp_path):
    few, many = (grid(tool, tmp_path, words) for words in (500, 2000))
    for a, b in zip(few.runs, many.runs):
        same = a.arm == "none"
        assert (a.folder == b.folder) == same and a.config == b.config
        if a.start is None:
            assert (a.options == b.options) == same
    (vlpt,) = (r for r in few.runs if r.arm == "VLPT 500" and not r.dataset and r.seed == 1)
    cfg = load_config(vlpt.config, vlpt.options)
    assert list(cfg.DATASETS.TRAIN) == ["words_500_train"]
    assert list(cfg.DATASETS.VALIDATION) == ["words_500_val"]
    assert "words_1000" not in cfg.dump()


def test_partial_grids_are_balanced(tool, tmp_path):
    runs = tool.in_order(grid(tool, tmp_path, 500))
    names = [(r.arm.split()[0], r.dataset, r.seed) for r in runs if r.dataset]
    main, labels = names[:9], names[9:27]
    assert main == [(a, "ICDAR2015", s) for s in (1, 2, 3) for a in ("none", "VLPT", "ST")]
    assert [s for _, _, s in labels] == [1] * 6 + [2] * 6 + [3] * 6
    assert {a for a, _, _ in labels} == {"none", "VLPT", "ST"}
    assert {d for _, d, _ in labels} == {"ICDAR2015 200", "ICDAR2015 50"}
    assert {a for a, _, _ in names[27:]} == {"oCLIP", "STKM"}
    assert names[27][1] == "ICDAR2015"
    started = set()
    for run in runs:  # each after its pre-training
        assert run.start is None or run.start in started
        started.add(run)


def test_steps_of_the_paper_are_counted(tool):
    options = ["SOLVER.IMS_PER_BATCH", "2", "INPUT.DETECTION.TRAIN_SIZE", "(64, 64)"]
    cfg = load_config("quickstart/db_rendered.yaml", [*options, "NUM_THREADS", "1"])
    images, ms, rate, tflop, *_ = tool.measure_step(cfg)
    assert images == 2 and rate == pytest.approx(2000 / ms)
    # Twice the batch: twice the work.
    cfg = load_config("quickstart/db_rendered.yaml", ["SOLVER.IMS_PER_BATCH", "4", *options[2:]])
    assert tool.measure_step(cfg)[3] == pytest.approx(2 * tflop, rel=1e-6)
