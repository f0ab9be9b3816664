"""The console script: verbs, forwarded arguments, and errors of our own lines."""

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
    for argv in (["fly"], ["doctor", "--fast"]):
        with pytest.raises(SystemExit, match="2"):
            cli.main(argv)
    assert "unrecognized arguments: --fast" in capsys.readouterr().err


def test_train_forwards_its_arguments_in_order(monkeypatch):
    launch = types.ModuleType("vlpt_d2.engine.launch")
    seen = []
    launch.main = seen.append
    monkeypatch.setitem(sys.modules, "vlpt_d2.engine.launch", launch)
    argv = ["--config-file", "a.yaml", "--eval-only", "--num-gpus", "2", "MODEL.WEIGHTS", "x"]
    argv += ["SOLVER.BASE_LR", "-1", "--help", "--version"]
    assert cli.main(["train", *argv]) == 0
    assert seen == [argv]


def test_errors_of_the_package_itself_are_not_hidden():
    assert vlpt_d2.import_error is None
    assert not vlpt_d2._is_foreign(ImportError("x", name="vlpt_d2.data.nothing"))
    assert vlpt_d2._is_foreign(ModuleNotFoundError("x", name="detectron2"))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vlpt_d2.nothing
