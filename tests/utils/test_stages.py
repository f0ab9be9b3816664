"""Time and memory by stage."""

import mmap
import time

import pytest
import torch

from vlpt_d2.utils.stages import StageClock


def test_inner_stages_are_no_part_of_the_outer(monkeypatch):
    """On a clock that moves only when told."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock = StageClock()

    def work(seconds):
        now[0] += seconds

    inner = clock.wrap("inner", work)
    work(5.0)
    with clock.stage("before"):  # outside of rounds
        work(5.0)
    for scale in (1, 3, 2):
        with clock.round():
            work(0.5 * scale)
            with clock.stage("outer"):
                work(2.0 * scale)
                inner(1.0 * scale)
                work(4.0 * scale)
            inner(0.25 * scale)
    assert clock.rounds[0] == pytest.approx({"other": 0.5, "outer": 6.0, "inner": 1.25})
    assert list(clock.median()) == ["outer", "inner", "other"]
    assert clock.median() == pytest.approx({"other": 1.0, "outer": 12.0, "inner": 2.5})


def test_a_stage_ends_where_it_raises():
    clock = StageClock()
    with clock.round():
        with pytest.raises(KeyError), clock.stage("fails"):
            raise KeyError
        with clock.stage("next"):
            pass
    assert list(clock.rounds[0]) == ["other", "fails", "next"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_memory_on_a_gpu():
    clock = StageClock("cuda")
    with clock.round():
        with clock.stage("large"):
            torch.empty(64 << 20, dtype=torch.uint8, device="cuda")
        with clock.stage("small"):
            torch.empty(1 << 20, dtype=torch.uint8, device="cuda")
    assert clock.memory["large"] - clock.memory["small"] == pytest.approx(63 << 20, rel=0.01)


def test_memory_of_the_process():
    clock = StageClock()
    with clock.round():
        with clock.stage("small"):
            pass
        # Straight from the system: the heap may have as much at hand from earlier tests.
        with clock.stage("large"), mmap.mmap(-1, 200 << 20) as block:
            block[::4096] = bytes(200 << 8)
        with clock.stage("after"):
            pass
    grown = clock.memory["large"] - clock.memory["small"]
    assert grown > 150 << 20
