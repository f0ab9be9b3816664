"""The console script: verbs, forwarded arguments, and errors of our own lines."""

import subprocess
import sys
import types

import pytest

import vlpt_d2
from vlpt_d2.cli import main as cli


def test_help_names_every_verb(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert all(f"    {verb}" in text for verb in cli.VERBS)
    assert cli.main([]) == 2


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out.split() == ["vlpt-d2", vlpt_d2.__version__]


def test_unknown_verbs_and_arguments(capsys):
    for argv in (["fly"], ["doctor", "--fast"], ["detect", "a.png", "-o", "out"]):
        with pytest.raises(SystemExit, match="2"):
            cli.main(argv)
    shown = capsys.readouterr().err
    assert "unrecognized arguments: --fast" in shown
    assert "unrecognized arguments: -o out" in shown


def test_train_forwards_its_arguments_in_order(monkeypatch):
    launch = types.ModuleType("vlpt_d2.engine.launch")
    seen = []
    launch.main = lambda argv, prog: seen.append(argv)
    monkeypatch.setitem(sys.modules, "vlpt_d2.engine.launch", launch)
    argv = ["--config-file", "a.yaml", "--eval-only", "--num-gpus", "2", "MODEL.WEIGHTS", "x"]
    argv += ["SOLVER.BASE_LR", "-1", "--version"]
    assert cli.main(["train", *argv]) == 0
    assert seen == [argv]
    assert cli.main(["--debug", "train", "SEED", "1"]) == 0
    assert seen[-1] == ["SEED", "1", "--debug"]


def test_help_and_version_import_nothing_heavy():
    code = (
        "import contextlib, io, sys\n"
        "from vlpt_d2.cli.main import VERBS, main\n"
        "for words in (['--help'], ['--version'], *([verb, '--help'] for verb in VERBS)):\n"
        "    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "        main(words)\n"
        "heavy = {'torch', 'detectron2', 'transformers', 'cv2', 'numpy', 'scipy', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr


def test_a_name_that_the_package_lacks():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vlpt_d2.nothing


def test_every_verb_shows_one_line_and_with_debug_the_traceback(capsys):
    for argv, message in (
        (["compare", "nope"], "no grid 'nope'"),
        (["data", "check", "nope"], "no dataset 'nope' is registered"),
        (["profile", "--config-file", "nope.yaml"], "nope.yaml"),
        (["neighbours", "a", "--config-file", "nope.yaml"], "nope.yaml"),
        (["evaluate", "--protocol", "nope"], "no protocol 'nope'"),
        (["render", "x", "--preset", "nope"], "nope"),
    ):
        assert cli.main(argv) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"vlpt-d2 {argv[0]}: ") and message in error
        assert "Traceback" not in error
        assert cli.main([argv[0], "--debug", *argv[1:]]) == 2
        error = capsys.readouterr().err
        assert "Traceback" in error and message in error


def test_modules_are_imported_when_they_are_used():
    code = "import vlpt_d2; print(vlpt_d2.model_zoo.list_configs()[0])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip().endswith(".yaml"), result.stderr
