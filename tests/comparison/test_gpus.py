"""GPUs shared by runs at once; none is needed here."""

import json

import pytest

from vlpt_d2.cli.main import main
from vlpt_d2.comparison.gpus import device_name, share_gpus, visible_gpus


def test_gpus_are_shared():
    eight = [str(i) for i in range(8)]
    assert share_gpus(2, 4, eight) == [("0", "1", "2", "3"), ("4", "5", "6", "7")]
    assert share_gpus(3, 0, eight) == [("0",), ("1",), ("2",)]
    # Where nothing was asked for, runs may share one.
    assert share_gpus(3, 0, ["5", "GPU-a1"]) == [("5",), ("GPU-a1",), ("5",)]
    assert share_gpus(2, 0, []) == []
    with pytest.raises(ValueError, match="2 runs at once with 2 GPUs each need 4.*there are 3"):
        share_gpus(2, 2, ["0", "1", "2"])
    with pytest.raises(ValueError, match="there are 0"):
        share_gpus(1, 1, [])


def test_the_environment_says_which_there_are(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 1")
    assert visible_gpus() == ["3", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []
    assert device_name("cpu", 4) == "CPU"


def test_each_job_sees_its_own(compare_grid, starts, tmp_path):
    """The first seed's pre-training and fine-tuning run at once, and wait for each other."""
    one, other = (
        tmp_path / "out" / folder / "seed_1"
        for folder in ("finetune/db-icdar2015/random", "pretrain/vlpt")
    )
    plan = {
        "random/seed_1": [f"meet {other / 'starts.txt'}"],
        "pretrain/vlpt/seed_1": [f"meet {one / 'starts.txt'}"],
    }
    gpus = [("0", "1"), ("2", "3")]
    assert compare_grid(plan=plan, jobs=2, gpus=gpus, threads=6)[0] == {}
    given = [json.loads((folder / "given.json").read_text()) for folder in (one, other)]
    assert [g["gpus"] for g in given] == ["0,1", "2,3"]
    assert all(g["arguments"] == ["--num-gpus", "2"] for g in given)
    assert starts("pretrain/vlpt/seed_1") == ["step 0 seed 1 threads 3"]


def test_too_few_are_refused(grid_file, monkeypatch, capsys):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert main(["compare", str(grid_file), "--num-gpus", "2"]) == 2
    assert "need 2" in capsys.readouterr().err
