"""``vlpt-d2 finetune`` as a user runs it."""

import json
import os
import re
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from helpers.signs import SMALL, overlap, sign

from vlpt_d2 import TextPredictor
from vlpt_d2.cli.main import main
from vlpt_d2.engine import load_config
from vlpt_d2.engine.step import StepTrainer
from vlpt_d2.engine.thresholds import score_thresholds

WORDS = ("COFFEE", "open")
TINY = [
    *("INPUT.DETECTION.TRAIN_SIZE", "(64, 64)", "SOLVER.IMS_PER_BATCH", "2"),
    *("SOLVER.MAX_ITER", "3", "SOLVER.WARMUP_ITERS", "0", "SOLVER.CHECKPOINT_PERIOD", "2"),
    *("TEST.EVAL_PERIOD", "2", "DATALOADER.NUM_WORKERS", "0", *SMALL),
]


def line(box, word):
    x0, y0, x1, y1 = (int(value) for value in box)
    return f"{x0},{y0},{x1},{y0},{x1},{y1},{x0},{y1},{word}\n"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Ten signs with ICDAR's label files next to them."""
    folder = tmp_path_factory.mktemp("photos")
    image, boxes = sign(WORDS)
    for number in range(10):
        image.save(folder / f"p{number}.png")
        (folder / f"gt_p{number}.txt").write_text("".join(map(line, boxes, WORDS)))
    return folder


def finetune(photos, output, *arguments):
    given = ["--images", photos, "--labels", photos, "--output", output, *arguments, *TINY]
    return main(["finetune", *map(str, given)])


def export(cfg, model, path, file_format):
    """In place of the exporter, which has tests of its own and takes long."""
    path.write_text(f"{file_format} {cfg.MODEL.DB.BOX_THRESH} {model.training}")


@pytest.fixture(scope="module")
def quick():
    """Few thresholds are tried, and no network is exported."""
    with pytest.MonkeyPatch.context() as patch:
        few = partial(score_thresholds, grid=(0.3, 0.5))
        patch.setattr("vlpt_d2.engine.finetune.score_thresholds", few)
        patch.setattr("vlpt_d2.engine.finetune.export_detector", export)
        yield


@pytest.fixture(scope="module")
def done(photos, quick, tmp_path_factory):
    """The folder of a finished fine-tuning."""
    output = tmp_path_factory.mktemp("done") / "signs"
    assert finetune(photos, output) == 0
    return output


def content(folder):
    """Of every file but the log."""
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "log.txt"}


def test_everything_is_written(done):
    results = json.loads((done / "results.json").read_text())
    assert results["images"] == {"train": 8, "validation": 2} and results["steps"] == 3
    for when in ("before", "after"):
        assert 0 <= results[when]["hmean"] <= 100
    assert results["before"]["hmean"] > 50  # the model of the zoo finds such words
    split = json.loads((done / "data/split.json").read_text())
    assert len({*split["train"], *split["validation"]}) == 10 and split["seed"] == 0
    page = (done / "report.html").read_text()
    assert "data:image/png;base64," in page and f"<td>{results['after']['hmean']}</td>" in page
    assert "10  images" in (done / "data.txt").read_text()
    box = load_config(str(done / "config.yaml")).MODEL.DB.BOX_THRESH
    assert (done / "model.onnx").read_text() == f"onnx {box} False"
    assert results["thresholds"]["MODEL.DB.BOX_THRESH"] == box


def test_the_weights_and_the_config_detect(done):
    predictor = TextPredictor(
        config_file=str(done / "config.yaml"), weights=str(done / "model.safetensors"), device="cpu"
    )
    image, boxes = sign(WORDS)
    found = predictor(image)
    for box in boxes:
        assert max(overlap(np.asarray(p), box) for p in found.polygons) > 0.5


def test_a_finished_one_is_not_repeated_and_no_other_is_mixed_in(photos, done, capsys):
    before = content(done)
    assert finetune(photos, done) == 0
    assert "2 held-out images" in capsys.readouterr().out
    assert finetune(photos, done, "--seed", 1) == 2
    assert "holds another fine-tuning (seed was 0, is 1)" in capsys.readouterr().err
    assert content(done) == before


def test_an_interrupted_one_resumes_to_the_same_weights(
    photos, done, tmp_path, monkeypatch, capsys
):
    """It is interrupted in the training, and again after it."""
    output = tmp_path / "signs2"
    step = StepTrainer.run_step

    def interrupted(self):
        step(self)
        if self.iter == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StepTrainer, "run_step", interrupted)
        assert finetune(photos, output) == 130
    assert "vlpt-d2 finetune: interrupted; the same command resumes" in capsys.readouterr().err
    monkeypatch.setattr("vlpt_d2.engine.finetune.describe_trunk", _interrupt)
    assert finetune(photos, output) == 130
    assert "resuming after 2 steps" in (output / "training/log.txt").read_text()
    assert not (output / "results.json").exists()
    for name in ("model_best.pth", "model_final.pth"):
        ours, theirs = (
            torch.load(folder / "training" / name, weights_only=True)["model"]
            for folder in (output, done)
        )
        assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


def _interrupt(cfg):
    raise KeyboardInterrupt


def with_nine(folder):
    (folder / "gt_p3.txt").write_text("")


def with_a_bad_label(folder):
    (folder / "gt_p3.txt").write_text("1,2,3\n")


def with_a_broken_image(folder):
    (folder / "p3.png").unlink()
    sign(WORDS)[0].save(folder / "p3.jpg")
    whole = (folder / "p3.jpg").read_bytes()
    (folder / "p3.jpg").write_bytes(whole[: len(whole) // 2])


def without_labels(folder):
    for path in folder.glob("*.txt"):
        path.unlink()


@pytest.mark.parametrize(
    "damage, arguments, message",
    [
        (with_nine, [], "9 of 10 images have text to learn; at least 10 are needed"),
        (with_a_bad_label, [], r"gt_p3\.txt, line 1"),
        (with_a_broken_image, [], r"1 image cannot be read, such as p3\.jpg"),
        (without_labels, [], "has no label files; name their format with --format"),
        (None, ["--model", "db_mobil"], "did you mean 'db_mobile'"),
        (None, ["--model", "db_R_50"], "there are no weights of db_R_50"),
        (None, ["--model", "vlpt_R_50_half"], "vlpt_R_50_half finds no text"),
        (None, ["--format", "yolo"], "did you mean 'yolo-obb'"),
        (None, ["--images", "nowhere"], "nowhere: no such folder"),
        (None, ["--labels", "nowhere"], "nowhere: no such file or folder of labels"),
        (None, ["--output", "used"], "used holds other files: name a new folder"),
    ],
)
def test_wrong_requests_are_told_in_one_line(
    photos, tmp_path, monkeypatch, capsys, damage, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "used/data").mkdir(parents=True)
    if damage is not None:
        photos = shutil.copytree(photos, tmp_path / "photos")
        damage(photos)
    assert finetune(photos, tmp_path / "out", *arguments) == 2
    errors = capsys.readouterr().err
    lines = [line for line in errors.splitlines() if line.startswith("vlpt-d2 finetune: ")]
    assert len(lines) == 1 and re.search(message, lines[0]), errors
    assert "Traceback" not in errors
    assert not (tmp_path / "out/training").exists() and (tmp_path / "used/data").exists()


def test_what_was_fixed_lets_the_command_run_on(photos, tmp_path):
    damaged = shutil.copytree(photos, tmp_path / "photos")
    with_nine(damaged)
    assert finetune(damaged, tmp_path / "out", "--seed", 7) == 2
    assert finetune(photos, tmp_path / "out", "SOLVER.MAX_ITERS", 5) == 2  # a key misspelt
    shutil.copy(photos / "gt_p3.txt", damaged)

    class Reached(Exception):
        pass

    def train(args):
        raise Reached

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vlpt_d2.engine.finetune.run", train)
        assert finetune(damaged, tmp_path / "out") == 2
    assert json.loads((tmp_path / "out/data/split.json").read_text())["seed"] == 0


def test_an_output_that_cannot_be_written(photos, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert finetune(photos, tmp_path / "file") == 2
    assert finetune(photos, "/proc/vlpt_d2") == 2
    errors = capsys.readouterr().err
    assert str(tmp_path / "file") in errors and "/proc/vlpt_d2" in errors


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(photos, tmp_path, capsys):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert finetune(photos, tmp_path / "locked/out") == 2
    assert "locked" in capsys.readouterr().err
