"""Curves of several runs in one picture."""

import json
import runpy
from pathlib import Path

import cv2
import pytest

TOOL = str(Path(__file__).resolve().parents[2] / "tools" / "plot_runs.py")


def test_runs_are_drawn_together(tmp_path, monkeypatch, capsys):
    for name, slope in (("first", 10.0), ("second", 5.0)):
        (tmp_path / name).mkdir()
        rows = [json.dumps({"iteration": i, "text/hmean": slope * i}) for i in range(5)]
        (tmp_path / name / "metrics.json").write_text("\n".join(rows))
    picture = tmp_path / "runs.png"
    argv = ["plot_runs.py", str(picture), *(f"{n}={tmp_path / n}" for n in ("first", "second"))]
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(TOOL, run_name="__main__")
    pixels = cv2.imread(str(picture))
    for colour in ((180, 119, 31), (14, 127, 255)):  # C0 and C1, in BGR
        assert (pixels == colour).all(axis=2).any()
    monkeypatch.setattr("sys.argv", [*argv, "--result", "hmean"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(TOOL, run_name="__main__")
    assert "first has no 'hmean', but text/hmean" in capsys.readouterr().err
