"""The quickstart's bookkeeping; its training is run by ``make quickstart``."""

import json
import sys
from pathlib import Path

import pytest
from detectron2.data import DatasetCatalog

from vlpt_d2.cli.main import main
from vlpt_d2.engine import training_run as run_module
from vlpt_d2.engine.quickstart import (
    default_data,
    example_images,
    run_quickstart,
    training_runs,
)
from vlpt_d2.engine.training_run import TrainingRun


def test_data_is_icdar2015_where_it_lies(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    assert default_data() == "rendered"
    (tmp_path / "icdar2015" / "ch4_test_images").mkdir(parents=True)
    assert default_data() == "icdar2015"
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    monkeypatch.setenv("DETECTRON2_DATASETS", f"~/{tmp_path.name}")
    assert default_data() == "icdar2015"


def test_the_detector_starts_from_the_pretraining(tmp_path):
    pretraining, detection = training_runs(tmp_path, "rendered", ["SEED", "3"])
    assert pretraining.options == ("SEED", "3")
    weights = detection.options[detection.options.index("MODEL.WEIGHTS") + 1]
    assert weights == str(pretraining.folder / "model_final.pth")


def fake_training(monkeypatch, calls, fails=()):
    """Stand-in for the trainer's process: writes the files of a finished run."""

    def run(command, check):
        config = command[command.index("--config-file") + 1]
        folder = Path(command[command.index("OUTPUT_DIR") + 1])
        calls.append(folder.name)
        assert command[0] == sys.executable
        assert "--resume" in command
        folder.mkdir(parents=True, exist_ok=True)
        failed = folder.name in fails
        if not failed and "pretrain" in config:
            rows = {"iteration": 9, "pretrain/mlm_accuracy": 42.0}
            rows["pretrain/shuffled_mlm_accuracy"] = 7.0
            (folder / "metrics.json").write_text(json.dumps(rows) + "\n")
        elif not failed:
            (folder / "inference").mkdir(exist_ok=True)
            image = DatasetCatalog.get("rendered_quickstart_detection_val")[0]
            row = {"image_id": image["image_id"], "hmean": 0.5, "scores": [0.75]}
            row["polygons"] = [[10, 10, 60, 10, 60, 30, 10, 30]]
            report = {
                "dataset": "rendered_quickstart_detection_val",
                "percent": {"precision": 50.0, "recall": 25.0, "hmean": 33.3},
                "images": [row],
            }
            (folder / "inference" / "text_results_x.json").write_text(json.dumps(report))
        return type("Result", (), {"returncode": int(failed)})

    monkeypatch.setattr(run_module.subprocess, "run", run)


def test_table_files_and_a_second_run(tmp_path, monkeypatch):
    calls = []
    fake_training(monkeypatch, calls)
    output = tmp_path / "quickstart"
    table = run_quickstart(output, "rendered")
    assert calls == ["pretrain", "db_rendered"]
    for part in ("42.0", "7.0", "33.3", "hmean", str(output / "pictures" / "sheet.jpg")):
        assert part in table
    assert (output / "pretraining.png").is_file()
    assert len(list((output / "pictures").glob("*.jpg"))) == 2
    run_quickstart(output, "rendered")
    assert calls == ["pretrain", "db_rendered"]  # finished stages are not run again
    run_quickstart(output, "rendered", fresh=True)
    assert calls == ["pretrain", "db_rendered"] * 2


def test_it_starts_by_detecting(tmp_path, monkeypatch, capsys):
    calls = []
    fake_training(monkeypatch, calls)
    images = example_images(tmp_path / "drawn", "rendered")
    assert len(images) == 4 and all(path.is_file() for path in images)
    monkeypatch.setattr("vlpt_d2.engine.quickstart.EXAMPLES", 1)
    output = tmp_path / "quickstart"
    assert main(["quickstart", "--output", str(output), "--data", "rendered"]) == 0
    assert "vlpt://db_mobile found" in capsys.readouterr().out
    names = {path.name for path in (output / "detected").iterdir()}
    assert {"0.jpg", "0.json", "detections.jsonl"} <= names and not {"1.jpg"} & names
    assert calls == ["pretrain", "db_rendered"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["SOLVER.MAX_ITRE", "9"], "there is no key SOLVER.MAX_ITRE; did you mean"),
        (["SOLVER.MAX_ITER"], "options come in pairs"),
        (["SOLVER.MAX_ITER", "-1"], "SOLVER.MAX_ITER is -1"),
        (["OUTPUT_DIR", "elsewhere"], "OUTPUT_DIR follows from --output"),
        (["--data", "icdar2015"], "nowhere/icdar2015/ch4_test_images; set DETECTRON2_DATASETS"),
        (["--output", "file"], "file: is no folder"),
        (["--output", "file", "--fresh"], "file: is no folder"),
    ],
)
def test_nothing_runs_where_the_request_is_wrong(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DETECTRON2_DATASETS", "nowhere")
    monkeypatch.setattr("vlpt_d2.cli.quickstart._detect", None)
    monkeypatch.setattr(run_module.subprocess, "run", None)
    Path("file").touch()
    assert main(["quickstart", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "file"]


def test_failure_is_told_and_the_next_run_goes_on(tmp_path, monkeypatch):
    calls = []
    fake_training(monkeypatch, calls, fails=("db_rendered",))
    with pytest.raises(RuntimeError, match="fine-tuning DB failed"):
        run_quickstart(tmp_path, "rendered")
    fake_training(monkeypatch, calls)
    run_quickstart(tmp_path, "rendered")
    assert calls == ["pretrain", "db_rendered", "db_rendered"]


def test_fresh_removes_nothing_of_others(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(FileExistsError, match=r"thesis.tex"):
        run_quickstart(tmp_path, "rendered", fresh=True)
    assert (tmp_path / "thesis.tex").is_file()


def test_finished_stage_is_not_run(tmp_path, monkeypatch):
    (tmp_path / "finished.json").write_text("{}")
    monkeypatch.setattr(run_module.subprocess, "run", None)
    TrainingRun("pre-training", "config.yaml", tmp_path).train()
