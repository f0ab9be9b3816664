"""Running what is missing: order, kills, failures, changed configs, locks. The trainer pretends."""

import errno
import json
import os
import signal
import time
from pathlib import Path

import pytest
import yaml
from helpers.holder import held_elsewhere

from vlpt_d2.comparison import process as process_module
from vlpt_d2.comparison import runner as runner_module
from vlpt_d2.comparison.grid import read_grid
from vlpt_d2.comparison.run import RECORD, state_of

PRETRAINING = "pretrain/vlpt/seed_1"
FINETUNING = "finetune/db-icdar2015/vlpt/seed_1"


def test_what_is_missing_is_run_once(compare_grid, starts, tmp_path):
    problems, lines = compare_grid(threads=3)
    assert problems == {}
    assert lines[0] == "0 of 6 runs are finished"
    assert starts(PRETRAINING) == ["step 0 seed 1 threads 3"]
    assert starts("finetune/db-icdar2015/random/seed_2") == ["step 0 seed 2 threads 3"]
    record = json.loads((tmp_path / "out" / FINETUNING / RECORD).read_text())
    assert record["status"] == "finished" and record["starts"] == 1
    assert record["peak_memory_mib"] > 3 and record["seconds"] > 0 and record["cpu_seconds"] > 0
    problems, lines = compare_grid()
    assert problems == {} and lines == ["6 of 6 runs are finished"]
    assert len(starts(PRETRAINING)) == len(starts(FINETUNING)) == 1


def test_killed_run_resumes_from_its_checkpoint(compare_grid, starts, tmp_path):
    problems, lines = compare_grid(plan={PRETRAINING: ["kill", "kill"]})
    assert problems == {}
    assert [line.split(" seed")[0] for line in starts(PRETRAINING)] == [
        "step 0",
        "step 5",
        "step 5",
    ]
    assert sum("killed by SIGKILL" in line for line in lines) == 2
    folder = tmp_path / "out" / PRETRAINING
    assert json.loads((folder / RECORD).read_text())["starts"] == 3
    # The final weights alone are kept.
    assert [path.name for path in folder.glob("*.pth")] == ["model_final.pth"]


def test_killed_run_whose_other_process_holds_its_lock_for_a_while(compare_grid, starts):
    problems, lines = compare_grid(plan={PRETRAINING: ["orphan"]})
    assert problems == {}
    assert len(starts(PRETRAINING)) == 2
    assert not any("another process" in line for line in lines)


def test_failed_run_is_told_and_the_rest_goes_on(compare_grid, starts):
    problems, _ = compare_grid(plan={PRETRAINING: ["fail"]})
    assert sorted(problems) == ["DB on ICDAR2015 from VLPT, seed 1", "pre-training VLPT, seed 1"]
    assert "exit 3" in problems["pre-training VLPT, seed 1"]
    assert "    the disk is full" in problems["pre-training VLPT, seed 1"]
    assert "pre-training is not finished" in problems["DB on ICDAR2015 from VLPT, seed 1"]
    assert starts(FINETUNING) == []
    assert len(starts("finetune/db-icdar2015/vlpt/seed_2")) == 1
    assert compare_grid()[0] == {}
    assert len(starts(PRETRAINING)) == 2
    assert len(starts(FINETUNING)) == len(starts("pretrain/vlpt/seed_2")) == 1


def test_a_run_killed_again_and_again_fails(compare_grid, starts):
    problems, _ = compare_grid(plan={PRETRAINING: ["kill"] * 9})
    assert "failed (SIGKILL)" in problems["pre-training VLPT, seed 1"]
    assert len(starts(PRETRAINING)) == 4


def hashes_of(grid_file):
    return {run.name: state_of(run).record.get("config_sha256") for run in grid_runs(grid_file)}


def grid_runs(grid_file):
    return read_grid(str(grid_file)).runs


def test_changed_config_is_refused_with_what_started_from_it(
    compare_grid, grid_file, tmp_path, starts
):
    compare_grid()
    before = hashes_of(grid_file)
    assert before["pre-training VLPT, seed 1"] == before["pre-training VLPT, seed 2"]
    config = tmp_path / "pretrain.yaml"
    config.write_text(config.read_text().replace("IMS_PER_BATCH: 8", "IMS_PER_BATCH: 9"))
    problems, _ = compare_grid()
    arms = {f"{part}, seed {s}" for s in (1, 2) for part in ("pre-training VLPT", "DB on ICDAR2015 "
            "from VLPT")}  # fmt: skip
    assert set(problems) == arms
    message = problems["pre-training VLPT, seed 1"]
    assert before["pre-training VLPT, seed 1"][:12] in message
    assert message.count("SOLVER.IMS_PER_BATCH was 8, is 9") == 1
    assert str(tmp_path / "out" / PRETRAINING) in message
    assert len(starts(PRETRAINING)) == 1
    states = {run.name: state_of(run).status for run in grid_runs(grid_file)}
    assert states["DB on ICDAR2015 from VLPT, seed 2"] == "stale"
    assert states["DB on ICDAR2015 from random, seed 2"] == "finished"


def test_config_changed_while_the_grid_runs(compare_grid, tmp_path, starts):
    config = tmp_path / "pretrain.yaml"

    def edit():
        if (tmp_path / "out" / PRETRAINING / "finished.json").exists():
            config.write_text(config.read_text().replace("IMS_PER_BATCH: 8", "IMS_PER_BATCH: 9"))

    problems, _ = compare_grid(after_run=edit)
    assert "must not be mixed" in problems["pre-training VLPT, seed 1"]
    assert starts(FINETUNING) == []
    # The other seed is trained by the new one, which is what its folder says.
    record = json.loads((tmp_path / "out" / "pretrain/vlpt/seed_2" / RECORD).read_text())
    assert record["settings"]["SOLVER.IMS_PER_BATCH"] == "9"
    text = (tmp_path / "out" / "pretrain/vlpt/seed_2" / "start.yaml").read_text()
    assert "IMS_PER_BATCH: 9" in text
    assert len(starts("finetune/db-icdar2015/vlpt/seed_2")) == 1


def test_what_does_not_change_results_may_change(compare_grid, tmp_path):
    compare_grid()
    options = ["NUM_THREADS", "2", "SOLVER.CHECKPOINTS_KEPT", "5", "DATALOADER.NUM_WORKERS", "1"]
    assert compare_grid(options=options)[0] == {}
    # A key that the package has got since, at its default.
    path = tmp_path / "out" / PRETRAINING / RECORD
    record = json.loads(path.read_text())
    assert record["settings"].pop("MODEL.DB.SCALE_FUSION") == "none"
    path.write_text(json.dumps(record))
    assert compare_grid()[0] == {}
    assert set(compare_grid(options=["MODEL.DB.SCALE_FUSION", "adaptive"])[0]) != set()


def test_folder_of_another_program_is_left_alone(compare_grid, tmp_path, starts):
    folder = tmp_path / "out" / PRETRAINING
    folder.mkdir(parents=True)
    (folder / "last_checkpoint").write_text("model_final.pth")
    problems, _ = compare_grid()
    assert f"without {RECORD}" in problems["pre-training VLPT, seed 1"]
    assert starts(PRETRAINING) == starts(FINETUNING) == []


def test_unreadable_config_leaves_the_rest(compare_grid, tmp_path, starts):
    (tmp_path / "pretrain.yaml").write_text("SOLVR: {}\n")
    problems, _ = compare_grid()
    assert "SOLVR; did you mean" in problems["pre-training VLPT, seed 1"]
    assert len(starts("finetune/db-icdar2015/random/seed_1")) == 1


@pytest.mark.parametrize("name", ["compare.lock", ".lock"])
def test_run_of_another_comparison_or_trainer_is_left_to_it(compare_grid, tmp_path, starts, name):
    """A trainer that outlives its comparison is not started twice."""
    with held_elsewhere(tmp_path / "out" / PRETRAINING / name):
        problems, _ = compare_grid()
    assert "left to another process" in problems["pre-training VLPT, seed 1"]
    assert starts(PRETRAINING) == [] and len(starts("pretrain/vlpt/seed_2")) == 1
    assert compare_grid()[0] == {}


@pytest.mark.parametrize("name", ["model_final.pth", "results.json"])
def test_run_is_finished_when_its_files_are_there(compare_grid, tmp_path, starts, name):
    """Not by its exit status: nothing is removed before."""
    problems, _ = compare_grid(plan={PRETRAINING: ["lose " + name]}, options=EVALUATED)
    assert f"failed (exit 0, without {name})" in problems["pre-training VLPT, seed 1"]
    folder = tmp_path / "out" / PRETRAINING
    assert not (folder / "finished.json").exists() and starts(FINETUNING) == []
    assert json.loads((folder / RECORD).read_text())["status"] == "failed"
    assert compare_grid(options=EVALUATED)[0] == {}


EVALUATED = ["TEST.EVAL_PERIOD", "5"]
DAMAGED = ["", "{", "[]", "null", '{"settings": {}}', '{"settings": 1', "\x00", "9" * 5000]


def test_damaged_record_is_refused_by_name_and_the_rest_is_run(
    compare_grid, grid_file, tmp_path, starts
):
    path = tmp_path / "out" / PRETRAINING / RECORD
    path.parent.mkdir(parents=True)
    (run,) = (r for r in grid_runs(grid_file) if r.folder == path.parent)
    for content in DAMAGED:
        path.write_text(content)
        state = state_of(run)
        assert state.status == "unusable" and f"{path} is damaged" in state.message, content
    problems, _ = compare_grid()
    assert f"{path} is damaged" in problems["pre-training VLPT, seed 1"]
    assert "is not finished" in problems["DB on ICDAR2015 from VLPT, seed 1"]
    assert len(problems) == 2 and starts(PRETRAINING) == []
    assert len(starts("finetune/db-icdar2015/vlpt/seed_2")) == 1


def test_run_with_damaged_results_is_run_again(compare_grid, grid_file, tmp_path, starts):
    compare_grid(options=EVALUATED)
    path = tmp_path / "out" / PRETRAINING / "results.json"
    runs = read_grid(str(grid_file), EVALUATED).runs
    (run,) = (r for r in runs if r.folder == path.parent)
    whole = path.read_text()
    assert state_of(run).status == "finished"
    for content in [*DAMAGED, '{"iteration": 9, "test": 3, "validation": {}}']:
        path.write_text(content)
        assert state_of(run).status == "not finished", content
    problems, lines = compare_grid(options=EVALUATED)
    assert problems == {} and lines[0] == "5 of 6 runs are finished"
    assert path.read_text() == whole
    assert len(starts(PRETRAINING)) == 2 and len(starts(FINETUNING)) == 1


def test_weights_that_are_gone_are_named(compare_grid, tmp_path, starts):
    compare_grid(plan={FINETUNING: ["fail"]})
    weights = tmp_path / "out" / PRETRAINING / "model_final.pth"
    weights.unlink()
    problems, _ = compare_grid()
    assert f"{weights} is gone" in problems["pre-training VLPT, seed 1"]
    assert len(starts(PRETRAINING)) == len(starts(FINETUNING)) == 1


def test_trunk_is_taken_from_the_finished_pretraining(
    compare_grid, grid_file, tmp_path, starts, monkeypatch
):
    content = yaml.safe_load(grid_file.read_text())
    content["pretrainings"]["trunk"] = {"trunk_of": "VLPT"}
    grid_file.write_text(yaml.safe_dump(content, sort_keys=False))
    # The pretended weights hold no trunk.
    problems, _ = compare_grid()
    assert sorted(problems) == [f"DB on ICDAR2015 from trunk, seed {seed}" for seed in (1, 2)]
    assert all("model_final.pth" in text for text in problems.values())

    def extract(checkpoint, path):
        Path(path).write_text(f"trunk of {checkpoint}")

    monkeypatch.setattr(runner_module, "extract_trunk", extract)
    assert compare_grid()[0] == {}
    folder = tmp_path / "out" / FINETUNING.replace("vlpt", "trunk")
    assert starts(folder.relative_to(tmp_path / "out")) == ["step 0 seed 1 threads 1"]
    assert len(starts(PRETRAINING)) == 1
    # It started from start.pth (the pretending trainer checks that it is there), which goes.
    assert [path.name for path in folder.glob("*.pth")] == ["model_final.pth"]
    # What it starts from is part of its config.
    whole, trunk = (
        hashes_of(grid_file)[f"DB on ICDAR2015 from {a}, seed 1"] for a in ("VLPT", "trunk")
    )
    assert whole != trunk


def test_full_disk_stops_all_trainers_and_is_named(compare_grid, tmp_path, monkeypatch):
    """While two trainers work, the record of one cannot be written."""
    monkeypatch.setattr(process_module, "_SAVE_INTERVAL", 0.2)
    folders = [tmp_path / "out" / f for f in ("finetune/db-icdar2015/random/seed_1", PRETRAINING)]
    write = process_module.write_json

    def full(path, *args, **kwargs):
        if all((folder / "given.json").exists() for folder in folders):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, *args, **kwargs)

    monkeypatch.setattr(process_module, "write_json", full)
    with pytest.raises(OSError, match="No space left on device.*run.json"):
        compare_grid(plan={"seed_1": ["sleep"]}, jobs=2)
    for folder in folders:
        with pytest.raises(ProcessLookupError):
            os.kill(json.loads((folder / "given.json").read_text())["pid"], 0)


def test_jobs_run_at_once(compare_grid, tmp_path):
    one = "finetune/db-icdar2015/random/seed_1"
    # Each waits for the other to be there.
    plan = {
        one: [f"meet {tmp_path / 'out' / PRETRAINING / 'starts.txt'}"],
        PRETRAINING: [f"meet {tmp_path / 'out' / one / 'starts.txt'}"],
    }
    assert compare_grid(plan=plan, jobs=2)[0] == {}


def test_interrupt_that_the_trainers_heard_too(compare_grid, tmp_path):
    """As from a terminal: some have ended when they are told to."""
    records = [
        tmp_path / "out" / folder / RECORD
        for folder in ("finetune/db-icdar2015/random/seed_1", PRETRAINING)
    ]

    def say(line):
        if all((record.parent / "given.json").exists() for record in records):
            given = json.loads((records[0].parent / "given.json").read_text())
            os.kill(given["pid"], signal.SIGKILL)
            time.sleep(0.3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_grid(plan={"seed_1": ["sleep"]}, say=say, interval=0.1, jobs=2)
    assert [json.loads(r.read_text())["status"] for r in records] == ["killed", "killed"]
    assert compare_grid()[0] == {}


def test_interrupt_stops_the_trainers(compare_grid, tmp_path, starts):
    folder = "finetune/db-icdar2015/random/seed_1"

    def say(line):
        if starts(folder):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_grid(plan={"random/seed_1": ["sleep"]}, say=say, interval=0.1)
    record = tmp_path / "out" / folder / RECORD
    assert json.loads(record.read_text())["status"] == "killed"
    assert compare_grid()[0] == {}
    assert len(starts(folder)) == 2
