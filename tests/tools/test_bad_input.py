"""Scripts print one message of bad input: which option or file, and what to do."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DETECTOR = ("--config-file", "quickstart/db_rendered.yaml")
PRETRAINING = ("--config-file", "quickstart/pretrain.yaml")
CRAFT = ("--config-file", "detection/icdar2015/craft_R_50.yaml", "--output", "characters.json")


def run(script, *arguments):
    """The exit status."""
    sys.argv = [script, *arguments]
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    return end.value.code


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "junk.pth").write_text("no weights")
    monkeypatch.chdir(tmp_path)
    # Scripts change these.
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.parametrize(
    "script, arguments, message",
    [
        ("bundle", ("--wheels", "."), "--wheels: there are no wheels in ."),
        ("bundle", ("--data", "nowhere"), "--data: no folder nowhere"),
        ("choose_thresholds", PRETRAINING, "'VLPT'; only a TextDetector finds texts"),
        ("choose_thresholds", DETECTOR, "name the weights of the detector"),
        ("choose_thresholds", (*DETECTOR, "--grid", "nan"), "--grid: nan is not from 0 to 1"),
        ("choose_thresholds", (*DETECTOR, "MODEL.WEIGHTS", "junk.pth"), "junk.pth is damaged"),
        ("draw_maps", (*DETECTOR, "--output", "maps.xyz"), "maps.xyz: an image cannot be written"),
        (
            "draw_maps",
            (*DETECTOR, "--output", "a.png", "--index", "99999999"),
            "99999999; there are",
        ),
        ("draw_maps", (*DETECTOR, "--output", "a.png", "--dataset", "x"), "no dataset 'x' is"),
        ("draw_maps", (*PRETRAINING, "--output", "a.png"), "only a TextDetector finds texts"),
        ("extract_trunk", ("none.pth", "trunk.pth"), "none.pth: No such file"),
        ("find_characters", (*CRAFT, "--dataset", "x"), "no dataset 'x' is registered"),
        ("find_characters", (*DETECTOR, "--output", "x"), "db_rendered.yaml is no config of CRAFT"),
        ("fuzz", ("--count", "-1"), "--count: -1 is negative"),
        ("fuzz", ("--seconds", "nan"), "--seconds: nan is not a time above 0"),
        ("gpu_run", ("--grid", "nope"), "no grid 'nope'"),
        ("gpu_run", ("--minutes", "nan"), "--minutes: nan is not a time above 0"),
        ("gpu_run", ("--data", "nowhere"), "nowhere/icdar2015/ch4_training_images: no such"),
        ("kill_test", ("--trainings", "x"), "--trainings: invalid natural value: 'x'"),
        ("overfit", PRETRAINING, "only a TextDetector finds texts"),
        ("overfit", (*DETECTOR, "--images", "0"), "--images: 0 is not positive"),
        ("overfit", (*DETECTOR, "DATASETS.TRAIN", "()"), "name a dataset in DATASETS.TRAIN"),
        ("plot_runs", ("curves.png", "DB=nowhere"), "nowhere/metrics.json: No such file"),
        ("reestimate_norms", ("none.pth", ".", "trunk.xyz"), "ends in .pth or .safetensors"),
        ("reestimate_norms", ("none.pth", ".", "trunk.pth"), "no checkpoint none.pth"),
        ("write_config_page", ("--fast",), "unrecognized arguments: --fast"),
        ("write_weights", ("none.pth", "a.safetensors", *DETECTOR), "none.pth: No such file"),
        ("write_weights", ("junk.pth", "a.pth", *DETECTOR), "the file to write ends in"),
    ],
)
def test_scripts_name_what_is_wrong(script, arguments, message, capsys):
    assert run(f"tools/{script}.py", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    last = error.splitlines()[-1]
    assert last.startswith(f"{script}.py: error: ")


def test_debug_shows_the_traceback(capsys):
    assert run("tools/extract_trunk.py", "none.pth", "--debug", "trunk.pth") == 2
    error = capsys.readouterr().err
    assert "Traceback" in error and error.endswith("none.pth: No such file or directory\n")


def test_every_script_has_a_row_above():
    rows = test_scripts_name_what_is_wrong.pytestmark[0].args[1]
    scripts = {p.stem for p in (ROOT / "tools").glob("*.py") if "__main__" in p.read_text()}
    assert scripts == {script for script, *_ in rows}
