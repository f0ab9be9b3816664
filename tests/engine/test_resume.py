"""Interrupted runs end as uninterrupted ones."""

import json
import logging
import re
import resource
import shutil

import numpy as np
import pytest
import torch
import yaml
from detectron2.config import CfgNode
from helpers.holder import held_elsewhere
from tiny import TinyEvaluator, TinyTrainer

from vlpt_d2.checkpoint import CheckpointError
from vlpt_d2.config import get_cfg
from vlpt_d2.engine import load_config
from vlpt_d2.engine.arguments import argument_parser
from vlpt_d2.engine.defaults import setup
from vlpt_d2.engine.trainer import _team_change
from vlpt_d2.utils.locks import FolderInUseError


def train(cfg, *changes, folder, stop_at=None, resume=False, workers=0, seed=None, first_step=None):
    cfg = cfg.clone()
    cfg.merge_from_list(list(changes))
    cfg.OUTPUT_DIR = str(folder)
    cfg.DATALOADER.NUM_WORKERS = workers
    cfg.SEED = cfg.SEED if seed is None else seed
    trainer = TinyTrainer(cfg)
    trainer.resume_or_load(resume=resume)
    if stop_at is not None:
        trainer.max_iter = stop_at  # the schedule keeps the whole run's length
    if first_step is not None:
        trainer.run_step = first_step
    trainer.train()
    return trainer


def weights(trainer):
    return {k: v.clone() for k, v in trainer.model.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for key in a:
        assert torch.equal(a[key], b[key]), key


@pytest.mark.parametrize("workers", [0, 2])
def test_resumed_run_ends_with_the_same_weights(tiny_cfg, tmp_path, workers):
    whole = weights(train(tiny_cfg, folder=tmp_path / "whole"))
    train(tiny_cfg, folder=tmp_path / "parts", stop_at=3, workers=workers)
    torch.manual_seed(99)  # another process has other generators
    np.random.seed(99)
    resumed = train(tiny_cfg, folder=tmp_path / "parts", resume=True, workers=workers)
    assert resumed.start_iter == 3
    assert_same(whole, weights(resumed))


def test_another_seed_ends_elsewhere(tiny_cfg, tmp_path):
    one = weights(train(tiny_cfg, folder=tmp_path / "one"))
    other = weights(train(tiny_cfg, folder=tmp_path / "other", seed=6))
    assert not torch.equal(one["linear.weight"], other["linear.weight"])


def test_drawn_seed_is_kept_on_resuming(tiny_cfg, tmp_path):
    first = train(tiny_cfg, folder=tmp_path / "drawn", seed=-1, stop_at=3)
    drawn = first.cfg.SEED
    assert drawn >= 0
    resumed = train(tiny_cfg, folder=tmp_path / "drawn", seed=-1, resume=True)
    assert drawn == resumed.cfg.SEED == dumped(tmp_path / "drawn").SEED
    whole = train(tiny_cfg, folder=tmp_path / "whole", seed=drawn)
    assert_same(weights(whole), weights(resumed))


def test_finished_run_resumed_does_nothing(tiny_cfg, tmp_path):
    done = weights(train(tiny_cfg, folder=tmp_path / "run"))
    again = train(tiny_cfg, folder=tmp_path / "run", resume=True)
    assert again.start_iter == 6
    assert_same(done, weights(again))


def test_a_longer_run_does_not_show_the_results_of_the_shorter(tiny_cfg, tmp_path):
    """From its first step on, and it can be resumed again."""
    folder = tmp_path / "run"
    changes = ("TEST.EVAL_PERIOD", 9, "SOLVER.CHECKPOINTS_KEPT", 1, "SOLVER.CHECKPOINT_PERIOD", 9)
    done = weights(train(tiny_cfg, *changes, folder=folder))
    files = {path.name for path in folder.glob("*.pth")}
    assert files == {"model_final.pth"} and (folder / "results.json").exists()
    longer = (*changes, "SOLVER.MAX_ITER", 8)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_cfg, *longer, folder=folder, resume=True, first_step=interrupt)
    assert {path.name for path in folder.glob("*.pth")} == {"model_0000005.pth"}
    assert not (folder / "results.json").exists()
    read = torch.load(folder / "model_0000005.pth", weights_only=True)["model"]
    assert_same(done, {k: v for k, v in read.items() if k in done})
    assert train(tiny_cfg, *longer, folder=folder, resume=True).start_iter == 6
    assert json.loads((folder / "results.json").read_text())["iteration"] == 7
    assert {path.name for path in folder.glob("*.pth")} == {"model_0000005.pth", "model_final.pth"}


def interrupt():
    raise KeyboardInterrupt


SMALL_PRETRAINING = """
MODEL:
  RESNETS: {DEPTH: 50, STEM_OUT_CHANNELS: 8, RES2_OUT_CHANNELS: 16, WIDTH_PER_GROUP: 8}
  IMAGE_ENCODER: {EMBED_DIM: 16, DROPOUT: 0.1}
  TEXT_ENCODER: {EMBED_DIM: 16, DROPOUT: 0.1}
  CROSS_ENCODER: {DROPOUT: 0.1}
INPUT: {PRETRAIN: {SIZE: [64, 64]}}
DATASETS: {TRAIN: ["rendered_quickstart_val"], VALIDATION: []}
SOLVER: {MAX_ITER: 4, IMS_PER_BATCH: 4, ACCUMULATE: 2, WARMUP_ITERS: 1, CHECKPOINT_PERIOD: 2}
TEST: {EVAL_PERIOD: 0, BEST_METRIC: ""}
SEED: 2
"""


def test_pre_training_itself_resumes_exactly(tmp_path):
    """With dropout, bfloat16, micro-batches, cached contrast and live norms."""
    cfg = load_config("quickstart/pretrain.yaml").clone()
    cfg.defrost()
    cfg.merge_from_other_cfg(CfgNode(yaml.safe_load(SMALL_PRETRAINING)))
    assert cfg.SOLVER.AMP.ENABLED and set(cfg.MODEL.VLPT.TASKS) == {"ITC", "WIP", "MLM"}
    whole = train(cfg, folder=tmp_path / "whole")
    train(cfg, folder=tmp_path / "parts", stop_at=2)
    resumed = train(cfg, folder=tmp_path / "parts", resume=True, workers=1)
    assert resumed.start_iter == 2
    assert_same(weights(whole), weights(resumed))
    a, b = whole.optimizer.state_dict()["state"], resumed.optimizer.state_dict()["state"]
    assert all(torch.equal(a[i]["exp_avg"], b[i]["exp_avg"]) for i in a)


@pytest.fixture
def warnings(caplog):
    """What the package warns of."""
    caplog.set_level(logging.WARNING, "vlpt_d2")
    return lambda: [r.getMessage() for r in caplog.records if r.name.startswith("vlpt_d2")]


@pytest.fixture
def half(tiny_cfg, tmp_path):
    """The folder of a run that was stopped after three of six steps."""
    folder = tmp_path / "half"
    train(tiny_cfg, folder=folder, stop_at=3)
    (folder / "model_final.pth").unlink()
    (folder / "last_checkpoint").write_text("model_0000002.pth")
    return folder


def last_rate(folder):
    rows = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    assert rows[-1]["iteration"] == 5
    return rows[-1]["lr"]


def dumped(folder):
    cfg = get_cfg()
    cfg.merge_from_file(str(folder / "config.yaml"))
    return cfg


def test_rate_and_decay_of_the_config_hold_after_resuming(tiny_cfg, half, warnings):
    resumed = train(
        tiny_cfg, "SOLVER.BASE_LR", 0.1, "SOLVER.WEIGHT_DECAY", 0.25, folder=half, resume=True
    )
    # Two steps of warm-up, then down to 0 after six: the last is one of four.
    assert last_rate(half) == pytest.approx(0.1 / 4)
    assert {group["weight_decay"] for group in resumed.optimizer.param_groups} >= {0.25}
    assert dumped(half).SOLVER.BASE_LR == 0.1
    (told,) = warnings()
    assert "SOLVER.BASE_LR was 0.001, is 0.1" in told and "WEIGHT_DECAY was 0.0001, is 0.25" in told


def test_beginning_of_the_schedule_is_unchanged_by_resuming(tiny_cfg, tmp_path, half, warnings):
    train(tiny_cfg, folder=tmp_path / "whole")
    train(tiny_cfg, "SOLVER.CHECKPOINT_PERIOD", 2, "NUM_THREADS", 1, folder=half, resume=True)
    assert last_rate(half) == last_rate(tmp_path / "whole")
    assert warnings() == []


def test_adam_takes_over_the_state_of_adamw(tiny_cfg, half, warnings):
    resumed = train(tiny_cfg, "SOLVER.OPTIMIZER", "Adam", folder=half, resume=True)
    assert type(resumed.optimizer) is torch.optim.Adam
    assert not any(g["decoupled_weight_decay"] for g in resumed.optimizer.param_groups)
    assert "SOLVER.OPTIMIZER was AdamW, is Adam" in warnings()[0]


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("SOLVER.OPTIMIZER", "SGD", "state is of Adam.*SOLVER.OPTIMIZER.*MODEL.WEIGHTS"),
        ("SOLVER.BIAS_LR_FACTOR", 2.0, "groups of parameters.*BIAS_LR_FACTOR"),
        ("SOLVER.MAX_ITER", 2, "of 3 steps and SOLVER.MAX_ITER is 2"),
        ("MODEL.RESNETS.DEPTH", 101, "cannot be resumed|trunk"),
    ],
)
def test_what_cannot_be_resumed_is_refused_and_changes_no_file(tiny_cfg, half, key, value, message):
    before = {path.name: path.read_bytes() for path in half.iterdir() if path.is_file()}
    with pytest.raises(CheckpointError, match=message):
        train(tiny_cfg, key, value, "SOLVER.WARMUP_ITERS", 1, folder=half, resume=True)
    after = {path.name: path.read_bytes() for path in half.iterdir() if path.is_file()}
    assert {k: v for k, v in after.items() if "tfevents" not in k} == {
        k: v for k, v in before.items() if "tfevents" not in k
    }


def test_everything_that_changed_is_told_in_one_warning(tiny_cfg, half, warnings):
    train(
        tiny_cfg,
        *("SOLVER.MAX_ITER", 7, "SOLVER.IMS_PER_BATCH", 2),
        *("DATASETS.TRAIN", ("tiny_photos", "tiny_photos")),
        *("PROCESS_TIMEOUT", 900.0),  # changes no result
        folder=half,
        resume=True,
    )
    (told,) = warnings()
    assert "SOLVER.MAX_ITER was 6, is 7" in told and "SOLVER.IMS_PER_BATCH was 4, is 2" in told
    assert "DATASETS.TRAIN was ('tiny_photos',), is ('tiny_photos', 'tiny_photos')" in told
    assert "PROCESS_TIMEOUT" not in told
    assert dumped(half).SOLVER.MAX_ITER == 7 and (half / "model_0000005.pth").exists()


@pytest.mark.parametrize("value, accepted", [("50.0", True), ("30.0", False)])
def test_a_removed_key_of_the_checkpoint_counts_by_its_value(tiny_cfg, half, value, accepted):
    path = half / (half / "last_checkpoint").read_text()
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["trainer"]["settings"]["MODEL.DB.K"] = value
    torch.save(checkpoint, path)
    if accepted:
        assert train(tiny_cfg, folder=half, resume=True).start_iter == 3
        return
    with pytest.raises(CheckpointError, match=r"MODEL\.DB\.K is 30\.0, but this key is gone"):
        train(tiny_cfg, folder=half, resume=True)


def test_other_number_of_images_is_told(tiny_cfg, tiny_photos, half, warnings):
    tiny_photos.pop()
    train(tiny_cfg, folder=half, resume=True)
    (told,) = warnings()
    assert "trained on 7 images, and DATASETS.TRAIN has 6 now" in told


@pytest.mark.parametrize(
    "then, now, shards, message",
    [
        ((0, 1), (2, 4), True, ""),
        ((2, 4), (2, 4), True, ""),
        ((2, 4), (2, 1), False, ""),
        ((2, 4), (1, 4), False, r"2 process\(es\) with 4 .*there are 1 with 4: each step takes"),
        ((2, 4), (2, 1), True, "there are 2 with 1: shards are cut differently"),
    ],
)
def test_what_other_processes_change_is_told(then, now, shards, message):
    assert bool(told := _team_change(then, now, shards)) == bool(message)
    assert re.search(message, told)


def files(folder):
    """Names of a run's files, without those that name their process."""
    return {p.name for p in folder.iterdir() if "tfevents" not in p.name}


def assert_same_checkpoints(one, other):
    names = {name for name in files(one) if name.endswith(".pth")}
    assert names == {name for name in files(other) if name.endswith(".pth")}
    for name in names:
        a, b = (torch.load(folder / name, weights_only=True) for folder in (one, other))
        assert_same(a["model"], b["model"])
        assert a["iteration"] == b["iteration"]
        assert a["trainer"]["hooks"] == b["trainer"]["hooks"]


@pytest.fixture
def whole(tiny_cfg, tmp_path, monkeypatch):
    """A run that keeps one checkpoint by period, and is best after the first evaluation."""
    monkeypatch.setattr(TinyEvaluator, "evaluate", lambda self: {"tiny": {"error": 1.0}})
    tiny_cfg.SOLVER.CHECKPOINTS_KEPT = 1
    tiny_cfg.TEST.EVAL_PERIOD = 3
    tiny_cfg.TEST.BEST_METRIC = "tiny/error"
    tiny_cfg.DATASETS.VALIDATION = ("tiny_photos",)
    train(tiny_cfg, folder=tmp_path / "whole")
    assert "model_0000002.pth" not in files(tmp_path / "whole")
    return tmp_path / "whole"


def assert_completed(tiny_cfg, whole, folder, start):
    """Resume a damaged run, after ``start`` steps, and compare all its files."""
    resumed = train(tiny_cfg, folder=folder, resume=True)
    assert resumed.start_iter == start
    assert files(folder) == files(whole)
    assert_same_checkpoints(whole, folder)
    for name in ("last_checkpoint", "model_best.json", "results.json"):
        assert (folder / name).read_text() == (whole / name).read_text()


def test_final_weights_that_a_kill_cut_off_are_written(tiny_cfg, whole, tmp_path):
    """The last step is one of the period, so that its checkpoint is there already."""
    killed = tmp_path / "killed"
    shutil.copytree(whole, killed)
    (killed / "model_final.pth").rename(killed / "model_final.pth.part")
    (killed / "last_checkpoint").write_text("model_0000005.pth")
    (killed / "results.json").unlink()
    assert_completed(tiny_cfg, whole, killed, 6)


def cut_off(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = {
    "cut off": lambda folder: cut_off(folder / "model_final.pth"),
    "model_final.pth is not there": lambda folder: (folder / "model_final.pth").unlink(),
    "last_checkpoint is empty": lambda folder: (folder / "last_checkpoint").write_text(""),
    "x.pth is not there": lambda folder: (folder / "last_checkpoint").write_text("../x.pth"),
}


@pytest.mark.parametrize("told", DAMAGES)
def test_newest_sound_checkpoint_replaces_a_damaged_one(tiny_cfg, whole, tmp_path, warnings, told):
    damaged = tmp_path / "damaged"
    shutil.copytree(whole, damaged)
    DAMAGES[told](damaged)
    assert_completed(tiny_cfg, whole, damaged, 6)
    (message,) = warnings()
    assert told in message and "Resuming from the newest sound checkpoint instead" in message


def test_best_weights_are_resumed_from_where_nothing_else_is_sound(
    tiny_cfg, whole, tmp_path, warnings
):
    damaged = tmp_path / "damaged"
    shutil.copytree(whole, damaged)
    for path in damaged.glob("model_[0f]*.pth"):
        cut_off(path)
    (damaged / "model_best.json").write_text("{")
    assert_completed(tiny_cfg, whole, damaged, 3)
    told = " ".join(warnings())
    assert f"{damaged / 'model_best.pth'}, after 3 steps" in told
    assert "model_best.json is damaged" in told


def test_checkpoints_of_a_longer_run_before_replace_nothing(tiny_cfg, half):
    """A run was started again in a folder, and its newest checkpoint is damaged."""
    content = torch.load(half / "model_0000002.pth", weights_only=True)
    torch.save(
        {**content, "iteration": 0, "trainer": {**content["trainer"], "iteration": 0}},
        half / "model_0000000.pth",
    )
    torch.save({**content, "iteration": 5}, half / "model_0000005.pth")
    cut_off(half / "model_0000002.pth")
    (half / "last_checkpoint").write_text("model_0000002.pth")
    assert train(tiny_cfg, folder=half, resume=True).start_iter == 1


def test_nothing_is_trained_where_no_checkpoint_is_sound(tiny_cfg, half):
    for path in half.glob("*.pth"):
        cut_off(path)
    before = files(half)
    with pytest.raises(CheckpointError, match="no checkpoint in .*half can be resumed from.*cut"):
        train(tiny_cfg, folder=half, resume=True)
    assert files(half) == before


def test_damaged_best_without_weights_is_forgotten(tiny_cfg, whole, warnings):
    (whole / "model_best.json").write_text("[]")
    (whole / "model_best.pth").unlink()
    (whole / "last_checkpoint").unlink()
    (whole / "model_0000005.pth").unlink()
    cut_off(whole / "model_final.pth")
    train(tiny_cfg, folder=whole, resume=True)
    assert json.loads((whole / "model_best.json").read_text())["iteration"] == 2


def test_rows_of_repeated_steps_are_written_once(tiny_cfg, half):
    tiny_cfg.TEST.EVAL_PERIOD = 1
    with open(half / "metrics.json", "a") as file:
        file.write('{"iteration": 3, "lr": 9.0}\n{"iteration": 4, "l')
    train(tiny_cfg, folder=half, resume=True)
    rows = [json.loads(line) for line in (half / "metrics.json").read_text().splitlines()]
    assert [row["iteration"] for row in rows] == [2, 2, 3, 4, 5]
    assert all(row.get("lr", 0) < 1 for row in rows)


def test_run_started_over_keeps_no_rows_of_the_one_before(tiny_cfg, half, warnings):
    tiny_cfg.TEST.EVAL_PERIOD = 1
    train(tiny_cfg, folder=half, stop_at=2)
    (told,) = [w for w in warnings() if "started over" in w]
    assert str(half) in told and "--resume" in told
    with open(half / "metrics.json") as file:
        assert [json.loads(line)["iteration"] for line in file] == [0, 1]


def test_second_trainer_is_refused_and_changes_no_file(tiny_cfg, half):
    before = {path: path.read_bytes() for path in half.iterdir()}
    with held_elsewhere(half / ".lock"):
        for resume in (True, False):
            with pytest.raises(FolderInUseError, match="another process writes to .*half"):
                train(tiny_cfg, "SOLVER.BASE_LR", 1.0, folder=half, resume=resume)
    assert {p: p.read_bytes() for p in half.iterdir() if p in before} == before
    assert train(tiny_cfg, folder=half, resume=True).start_iter == 3


def test_log_of_a_running_trainer_gets_no_lines_of_a_second_one(tiny_cfg, half, tmp_path):
    (tmp_path / "tiny.yaml").write_text(tiny_cfg.dump())
    argv = ["--config-file", str(tmp_path / "tiny.yaml"), "OUTPUT_DIR", str(half)]
    with held_elsewhere(half / ".lock"):
        with pytest.raises(FolderInUseError):
            setup(argument_parser().parse_args(argv))
        assert not (half / "log.txt").exists()
        setup(argument_parser().parse_args(["--eval-only", *argv]))
    assert (half / "log.txt").exists()


@pytest.mark.parametrize("size, name", [(100_000, "model_0000005.pth"), (0, "config.yaml")])
def test_full_disk_names_the_file_and_leaves_what_was_saved(
    tiny_cfg, tmp_path, half, size, name, capfd
):
    """Files cannot grow beyond ``size`` bytes: writing fails as it does on a full disk."""
    before = {path: path.read_bytes() for path in half.glob("*[!0-9]") if path.is_file()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(OSError) as caught:
            train(tiny_cfg, folder=half, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(half / name)
    assert "Traceback" not in capfd.readouterr().err
    assert not list(half.glob("*.part"))
    changes = {p.name for p, content in before.items() if p.read_bytes() != content}
    assert changes <= {"metrics.json", "config.yaml"}
    whole = train(tiny_cfg, folder=tmp_path / "whole")
    assert_same(weights(train(tiny_cfg, folder=half, resume=True)), weights(whole))


def test_weights_that_are_not_finite_replace_nothing(tiny_cfg, half):
    """A running variance that overflows leaves losses and gradients as they are."""
    tiny_cfg.SOLVER.CHECKPOINTS_KEPT = 1

    class Overflowing(TinyTrainer):
        def run_step(self):
            super().run_step()
            if self.iter == 5:
                self.model.backbone.bottom_up.stem.conv1.norm.running_var[1] = float("inf")

    cfg = tiny_cfg.clone()
    cfg.OUTPUT_DIR = str(half)
    before = files(half)
    trainer = Overflowing(cfg)
    trainer.resume_or_load(resume=True)
    with pytest.raises(FloatingPointError, match="1 of the model's .*running_var.*0000005.pth"):
        trainer.train()
    assert files(half) == before
    assert (half / "last_checkpoint").read_text() == "model_0000002.pth"
