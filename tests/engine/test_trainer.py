"""Evaluation, the best weights and what a run writes."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny import TinyEvaluator, TinyTrainer

from vlpt_d2.config import get_cfg
from vlpt_d2.engine import TextTrainer
from vlpt_d2.engine.hooks import flatten_numbers
from vlpt_d2.evaluation.text_evaluator import TextEvaluator
from vlpt_d2.modeling.pretraining.evaluator import PretrainEvaluator


def metrics(cfg):
    return [json.loads(line) for line in Path(cfg.OUTPUT_DIR, "metrics.json").open()]


def test_results_are_flattened_to_numbers():
    nested = {"a": {"b": 1, "c": "x", "d": None, "e": [1, 2], "f": {"g": torch.tensor(2.5)}}}
    assert flatten_numbers(nested) == {"a/b": 1.0, "a/f/g": 2.5}


@pytest.mark.parametrize("period, runs", [(0, 0), (2, 3), (4, 2), (100, 1)])
def test_each_step_is_evaluated_once(tiny_cfg, period, runs):
    tiny_cfg.TEST.EVAL_PERIOD = period
    results = TinyTrainer(tiny_cfg).train()
    assert TinyEvaluator.runs == runs
    assert (results is None) == (period == 0)
    if runs:
        last = metrics(tiny_cfg)[-1]
        assert last["tiny/error"] == pytest.approx(results["tiny"]["error"])
        assert "tiny/note" not in last


def test_progress_is_written(tiny_cfg):
    TinyTrainer(tiny_cfg).train()
    last = metrics(tiny_cfg)[-1]
    assert last["iteration"] == 5 and {"total_loss", "lr", "data_time"} <= set(last)
    assert list(Path(tiny_cfg.OUTPUT_DIR).glob("events.out.tfevents*"))


def test_metrics_go_to_wandb(tiny_cfg, monkeypatch):
    """A resumed run goes on under its number, another one has its own."""
    runs = []

    class Run:
        def __init__(self, **arguments):
            runs.append(self)
            self.rows, self.given, self.ended = [], arguments, 0

        def define_metric(self, name, step_metric):
            assert (name, step_metric) == ("*", "iteration")

        def log(self, row):
            self.rows.append(row)

        def finish(self):
            self.ended += 1

    tiny_cfg.WANDB_PROJECT = "texts"
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"pip install 'vlpt-d2\[wandb\]'"):
        TinyTrainer(tiny_cfg)
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=Run))
    for steps, resume in ((1, False), (2, True), (1, False)):
        trainer = TinyTrainer(tiny_cfg)
        trainer.resume_or_load(resume)
        trainer.max_iter = steps
        trainer.train()
    assert [[row["iteration"] for row in run.rows] for run in runs] == [[0], [1], [0]]
    assert [run.ended for run in runs] == [1, 1, 1] and "total_loss" in runs[1].rows[0]
    first, resumed, other = (run.given for run in runs)
    assert first["project"] == "texts" and first["config"]["SOLVER"]["MAX_ITER"] == 6
    assert first["id"] == resumed["id"] != other["id"]


def test_the_trunk_is_compiled_for_training_alone(tiny_cfg, monkeypatch):
    from torch._dynamo import register_backend  # slow to import

    graphs = []

    def train(backend):
        tiny_cfg.SOLVER.COMPILE = backend
        trainer = TinyTrainer(tiny_cfg)
        trainer.max_iter = 2
        trainer.train()
        return trainer.model.state_dict()

    @register_backend
    def counting(graph, inputs):
        assert torch.is_grad_enabled()
        graphs.append(graph)
        return graph.forward

    tiny_cfg.TEST.EVAL_PERIOD = 1
    plain, compiled = train(""), train("counting")
    assert len(graphs) == 1
    assert plain.keys() == compiled.keys()
    assert all(torch.equal(weight, compiled[name]) for name, weight in plain.items())
    with pytest.raises(ValueError, match="SOLVER.COMPILE is 'inducter'; torch has .*inductor"):
        train("inducter")
    tiny_cfg.MODEL.IMAGE_ENCODER.CHECKPOINTING = True
    with pytest.raises(ValueError, match="CHECKPOINTING"):
        train("eager")


def test_validation_comes_during_and_test_after_training(tiny_cfg, monkeypatch):
    """Kernels are not timed for images of the evaluations, which have many sizes."""
    timed = []
    reset = TinyEvaluator.reset
    noted = lambda self: timed.append(torch.backends.cudnn.benchmark) or reset(self)  # noqa: E731
    monkeypatch.setattr(TinyEvaluator, "reset", noted)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    tiny_cfg.TEST.EVAL_PERIOD = 2
    tiny_cfg.DATASETS.VALIDATION = ("tiny_photos",)
    TinyTrainer(tiny_cfg).train()
    assert TinyEvaluator.runs == 4
    assert timed == [False] * 4 and torch.backends.cudnn.benchmark
    assert "test/tiny/error" in metrics(tiny_cfg)[-1]


def best_trainer(cfg, scores, metric="tiny/score"):
    """A trainer whose evaluations give these scores."""
    given = iter(scores)

    class Scripted(TinyTrainer):
        @classmethod
        def test(cls, cfg, model, evaluators=None, **kwargs):
            return {"tiny": {"score": next(given)}}

    cfg.TEST.EVAL_PERIOD = 2
    cfg.TEST.BEST_METRIC = metric
    cfg.DATASETS.VALIDATION = ("tiny_photos",)
    cfg.DATASETS.TEST = ()
    return Scripted(cfg)


def test_best_weights_are_kept_and_not_resumed_from(tiny_cfg):
    best_trainer(tiny_cfg, [3.0, float("nan"), 2.0]).train()
    folder = Path(tiny_cfg.OUTPUT_DIR)
    best = torch.load(folder / "model_best.pth", weights_only=True)
    assert best["iteration"] == 1
    assert json.loads((folder / "model_best.json").read_text())["value"] == 3.0
    assert (folder / "last_checkpoint").read_text() == "model_final.pth"


def test_best_is_remembered_on_resuming(tiny_cfg):
    first = best_trainer(tiny_cfg, [3.0])
    first.max_iter = 3
    with pytest.raises(StopIteration):
        first.train()  # there is no second result at the end
    second = best_trainer(tiny_cfg, [2.5, 2.8])
    second.resume_or_load(resume=True)
    assert second.start_iter == 3
    second.train()
    best = torch.load(Path(tiny_cfg.OUTPUT_DIR, "model_best.pth"), weights_only=True)
    assert best["iteration"] == 1


def test_misspelt_best_metric_names_the_right_one(tiny_cfg):
    trainer = best_trainer(tiny_cfg, [1.0], metric="tiny/scoer")
    with pytest.raises(KeyError, match="did you mean 'tiny/score'"):
        trainer.train()


def test_weights_are_not_chosen_on_test_images(tiny_cfg):
    tiny_cfg.TEST.BEST_METRIC = "tiny/error"
    with pytest.raises(ValueError, match=r"DATASETS\.VALIDATION"):
        TinyTrainer(tiny_cfg)


def test_only_some_checkpoints_are_kept_if_asked(tiny_cfg):
    tiny_cfg.SOLVER.CHECKPOINT_PERIOD = 1
    tiny_cfg.SOLVER.CHECKPOINTS_KEPT = 2
    TinyTrainer(tiny_cfg).train()
    names = {p.name for p in Path(tiny_cfg.OUTPUT_DIR).glob("*.pth")}
    assert names == {"model_0000004.pth", "model_0000005.pth", "model_final.pth"}


def test_evaluators_fit_model_and_dataset(tiny_cfg):
    tiny_cfg.MODEL.META_ARCHITECTURE = "VLPT"
    found = TextTrainer.build_evaluator(tiny_cfg, "tiny_photos")
    assert isinstance(found, PretrainEvaluator)
    tiny_cfg.MODEL.META_ARCHITECTURE = "TextDetector"
    found = TextTrainer.build_evaluator(tiny_cfg, "icdar2015_test", weights="")
    assert isinstance(found, TextEvaluator)
    with pytest.raises(NotImplementedError, match="evaluator_type"):
        TextTrainer.build_evaluator(tiny_cfg, "tiny_photos")


def test_epochs_are_turned_into_iterations_of_the_filtered_images(tiny_cfg, tiny_photos):
    """Seven images, of which one has nothing but an ignored region."""
    for photo in tiny_photos[1:]:
        photo["annotations"] = [tiny_photos[0]["annotations"][0] | {"iscrowd": 0}]
    for empty_out, steps in ((False, 9), (True, 8)):
        cfg = tiny_cfg.clone()
        cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = empty_out
        cfg.SOLVER.MAX_ITER = get_cfg().SOLVER.MAX_ITER
        cfg.SOLVER.EPOCHS = 5
        trainer = TinyTrainer(cfg)
        assert trainer.max_iter == trainer.scheduler._max_iter == steps
        trainer.max_iter = 1
        trainer.train()
        dumped = get_cfg()
        dumped.merge_from_file(str(Path(cfg.OUTPUT_DIR, "config.yaml")))
        assert [dumped.SOLVER[key] for key in ("MAX_ITER", "EPOCHS")] == [steps, 5]
        assert TinyTrainer(dumped).max_iter == steps


def test_iterations_hold_where_epochs_are_zero(tiny_cfg):
    tiny_cfg.SOLVER.EPOCHS = 2
    with pytest.raises(ValueError, match="SOLVER.EPOCHS 0"):
        TinyTrainer(tiny_cfg)
    tiny_cfg.SOLVER.EPOCHS = 0
    tiny_cfg.SOLVER.EPOCH_STEPS = (1,)
    assert TinyTrainer(tiny_cfg).max_iter == 6


def test_evaluation_that_was_cut_off_is_made_up_for(tiny_cfg):
    folder = Path(tiny_cfg.OUTPUT_DIR)
    with pytest.raises(StopIteration):
        best_trainer(tiny_cfg, [3.0, 2.0]).train()  # there is no third result, after the last step
    assert (folder / "last_checkpoint").read_text() == "model_final.pth"
    assert not (folder / "results.json").exists()
    second = best_trainer(tiny_cfg, [4.0])
    second.resume_or_load(resume=True)
    second.train()
    results = json.loads((folder / "results.json").read_text())
    assert results == {
        "iteration": 5,
        "validation": {"tiny/score": 4.0},
        "test": {},
        "thresholds": {},
        "gpu_memory_mib": 0,
    }
    assert metrics(tiny_cfg)[-1]["iteration"] == 5 and metrics(tiny_cfg)[-1]["tiny/score"] == 4.0
    assert json.loads((folder / "model_best.json").read_text())["value"] == 4.0
    third = best_trainer(tiny_cfg, [])
    third.resume_or_load(resume=True)
    assert third.train() is None


def test_evaluation_within_a_run_that_was_cut_off_is_made_up_for(tiny_cfg, tmp_path):
    tiny_cfg.SOLVER.CHECKPOINT_PERIOD = 2
    whole, parts = tiny_cfg.clone(), tiny_cfg.clone()
    whole.OUTPUT_DIR, parts.OUTPUT_DIR = str(tmp_path / "whole"), str(tmp_path / "parts")
    best_trainer(whole, [3.0, 4.0, 2.0]).train()
    with pytest.raises(StopIteration):
        best_trainer(parts, [3.0]).train()  # stopped in the evaluation after four steps
    resumed = best_trainer(parts, [4.0, 2.0])
    resumed.resume_or_load(resume=True)
    assert resumed.start_iter == 4
    resumed.train()
    found = []
    for cfg in (whole, parts):
        lines = [line for line in metrics(cfg) if "tiny/score" in line]
        found.append([(line["iteration"], line["tiny/score"]) for line in lines])
    assert found[0] == found[1] == [(1, 3.0), (3, 4.0), (5, 2.0)]
    best = [torch.load(tmp_path / d / "model_best.pth") for d in ("whole", "parts")]
    assert [b["iteration"] for b in best] == [3, 3]
    assert best[0]["trainer"]["iteration"] == best[1]["trainer"]["iteration"]
    assert all(torch.equal(w, best[1]["model"][k]) for k, w in best[0]["model"].items())


def test_recorded_evaluation_is_not_repeated(tiny_cfg):
    tiny_cfg.SOLVER.CHECKPOINT_PERIOD = 2
    first = best_trainer(tiny_cfg, [3.0, 2.0])
    first.max_iter = 5
    with pytest.raises(StopIteration):
        first.train()
    (Path(tiny_cfg.OUTPUT_DIR) / "last_checkpoint").write_text("model_0000003.pth")
    second = best_trainer(tiny_cfg, [1.0])
    second.resume_or_load(resume=True)
    second.train()
    assert [m["tiny/score"] for m in metrics(tiny_cfg) if "tiny/score" in m] == [3.0, 2.0, 1.0]


def test_a_run_anew_forgets_what_the_folder_held(tiny_cfg):
    best_trainer(tiny_cfg, [5.0, 5.0, 5.0]).train()
    folder = Path(tiny_cfg.OUTPUT_DIR)
    trainer = best_trainer(tiny_cfg, [2.0, 3.0])
    trainer.resume_or_load(resume=False)
    assert not (folder / "results.json").exists()
    with pytest.raises(StopIteration):
        trainer.train()
    assert json.loads((folder / "model_best.json").read_text())["value"] == 3.0


def patient(cfg, scores, patience=2):
    cfg.TEST.PATIENCE = patience
    cfg.SOLVER.MAX_ITER = 12
    trainer = best_trainer(cfg, scores)
    trainer.resume_or_load(resume=True)
    return trainer


def test_training_stops_when_evaluations_do_not_improve(tiny_cfg):
    """Evaluated after 2, 4, 6, 8 steps; the best is the second."""
    trainer = patient(tiny_cfg, [1.0, 3.0, 3.0, 2.0])
    trainer.train()
    folder = Path(tiny_cfg.OUTPUT_DIR)
    results = json.loads((folder / "results.json").read_text())
    assert (results["iteration"], results["validation"]) == (7, {"tiny/score": 2.0})
    final = torch.load(folder / "model_final.pth", weights_only=True)
    assert final["iteration"] == 7 and (folder / "last_checkpoint").read_text() == "model_final.pth"
    assert torch.load(folder / "model_best.pth", weights_only=True)["iteration"] == 3
    assert metrics(tiny_cfg)[-1]["iteration"] == 7
    # It has ended; with more patience it resumes.
    assert patient(tiny_cfg, []).train() is None
    patient(tiny_cfg, [2.0, 4.0], patience=4).train()
    assert json.loads((folder / "model_best.json").read_text())["iteration"] == 11


def test_images_of_the_test_are_evaluated_after_an_early_stop(tiny_cfg):
    trainer = patient(tiny_cfg, [3.0, 2.0, 2.0, 7.0])
    trainer.cfg.defrost()
    trainer.cfg.DATASETS.TEST = ("tiny_photos",)
    trainer.train()
    results = json.loads(Path(tiny_cfg.OUTPUT_DIR, "results.json").read_text())
    assert results["validation"] == {"tiny/score": 2.0} and results["test"] == {"tiny/score": 7.0}


@pytest.mark.parametrize("period", [2, 4, 8])
def test_an_early_stop_that_was_cut_off_is_repeated(tiny_cfg, period):
    """With a checkpoint of the step of the stop, of an evaluation before, or of none."""
    tiny_cfg.SOLVER.CHECKPOINT_PERIOD = period
    with pytest.raises(StopIteration):
        patient(tiny_cfg, [3.0, 2.0]).train()
    again = [3.0, 2.0, 2.0] if period == 8 else [2.0]
    trainer = patient(tiny_cfg, again)
    assert trainer.start_iter == {2: 6, 4: 4, 8: 0}[period]
    trainer.train()
    folder = Path(tiny_cfg.OUTPUT_DIR)
    assert json.loads((folder / "results.json").read_text())["iteration"] == 5
    assert torch.load(folder / "model_final.pth", weights_only=True)["iteration"] == 5
    assert [m["tiny/score"] for m in metrics(tiny_cfg) if "tiny/score" in m] == [3.0, 2.0, 2.0]


def test_patience_needs_a_metric(tiny_cfg):
    tiny_cfg.TEST.PATIENCE = 1
    with pytest.raises(ValueError, match=r"set TEST\.BEST_METRIC"):
        TinyTrainer(tiny_cfg)
