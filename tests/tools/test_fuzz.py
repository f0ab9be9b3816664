"""A hundredth of ``make fuzz``, and what its driver makes of hangs, crashes and silence."""

import os

import pytest
from helpers.fuzzing import Silence, Target, all_targets, run_case, run_target

TARGETS = all_targets()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_hundredth_of_all_damaged_files(tmp_path, target):
    target.prepare(tmp_path)
    for number in range(max(1, target.count // 100)):
        failure, path = run_case(target, tmp_path, 0, number)
        assert failure is None, f"{failure.reason} ({path})\n{failure.details}"


def _act(kind: int) -> None:
    if kind == 1:
        raise OSError("a bare one")
    if kind == 2:
        raise Silence("nothing was read")
    if kind == 3:
        os._exit(3)
    if kind == 4:
        bytearray(2**31)
    if kind == 5:
        while True:
            pass
    if kind == 6:
        raise ValueError("a.txt, line 1: no number")
    if kind == 7:
        raise ValueError


def test_the_driver_sees_every_kind_of_failure(tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.fuzzing.TIME_LIMIT", 0.2)

    def prepare(folder):
        (folder / "count").write_text("0")

    def damage(folder, rng):
        path = folder / "a.txt"
        path.write_text(str(rng.random()))
        return path

    # One kind of failure for each case, told apart by its damaged content.
    contents = {}
    target = Target("x", prepare, damage, lambda folder: None, (ValueError,), 8)
    target.prepare(tmp_path)
    for number in range(8):
        run_case(target, tmp_path, 5, number)
        contents[(tmp_path / "a.txt").read_text()] = number
    read = lambda folder: _act(contents[(folder / "a.txt").read_text()])  # noqa: E731
    target = Target("x", prepare, damage, read, (ValueError,), 8)
    failures, done = run_target(target, 5, range(8), 60, keep=tmp_path / "kept")
    assert done == 8
    assert {f.number: f.reason for f in failures} == {
        1: "bare OSError: a bare one",
        2: "silent: nothing was read",
        3: "the process died (exit status 3)",
        4: "bare MemoryError: ",
        5: "takes more than 0.2 s of processor time",
        7: "an error without a message",
    }
    kept = sorted(path.parent.name for path in tmp_path.glob("kept/*/a.txt"))
    # Of a process that died the seed and the number are left.
    assert kept == ["x-5-1", "x-5-2", "x-5-4", "x-5-7"]
    assert run_target(target, 5, range(8), 0)[1] == 0
