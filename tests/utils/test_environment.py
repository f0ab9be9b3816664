"""Cores that a container leaves, and the folder of the datasets."""

import os
from pathlib import Path

import pytest

from vlpt_d2.utils import environment
from vlpt_d2.utils.environment import data_root, usable_cores


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "300000 100000\n"}, 3),
        # A part of a core is not a core, but there is always one.
        ({"cpu.max": "150000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "9900000 100000\n"}, 8),
        ({"cpu.max": "damaged"}, 8),
        # Version 1 of control groups.
        ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
    ],
)
def test_usable_cores(files, cores, tmp_path, monkeypatch):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(environment, "_CGROUPS", tmp_path)
    assert usable_cores() == cores


def test_data_root(monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", "~/sets")
    assert data_root() == Path.home() / "sets"
    for unset in ("", None):
        monkeypatch.delenv("DETECTRON2_DATASETS", raising=False)
        if unset is not None:
            monkeypatch.setenv("DETECTRON2_DATASETS", unset)
        assert data_root() == Path("datasets")
