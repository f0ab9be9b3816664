"""Processes that train together: one message that has the cause, and none that stays behind."""

import dataclasses
import multiprocessing
import os
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from detectron2.utils import comm

from vlpt_d2.engine import processes
from vlpt_d2.engine.hooks import EarlyStopping
from vlpt_d2.engine.place import Place
from vlpt_d2.engine.processes import ProcessError, run_processes


def sum_of_ranks(folder, fault):
    """Note this process and a child of it, do a collective, and fail in the last process."""
    rank = comm.get_rank()
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    (folder / f"pids_{rank}").write_text(f"{os.getpid()} {child}")
    total = torch.tensor([float(rank)])
    torch.distributed.all_reduce(total)
    (folder / f"sum_{rank}").write_text(str(total.item()))
    if fault == "wait":
        time.sleep(600)
    if rank == comm.get_world_size() - 1:
        if fault == "raise":
            raise ValueError("img_7.png: broken; take it out")
        if fault in ("SIGKILL", "SIGSTOP"):
            os.kill(os.getpid(), getattr(signal, fault))
    torch.distributed.all_reduce(total)


def stop_early(folder):
    """Two evaluations after the best: process 0 decides, as the others have no results."""
    best = SimpleNamespace(iteration=1) if comm.is_main_process() else None
    evaluation = SimpleNamespace(latest=(5, {}), period=2)
    note = (folder / f"stopped_{comm.get_rank()}").touch
    for patience, iteration in ((3, 5), (2, 4), (2, 5)):
        assert not any(folder.glob(f"stopped_{comm.get_rank()}"))
        hook = EarlyStopping(evaluation, best, patience, note)
        hook.trainer = SimpleNamespace(iter=iteration, max_iter=9)
        hook.after_step()


def ended(folder):
    """Whether all processes that were noted end within seconds."""
    pids = [int(pid) for file in folder.glob("pids_*") for pid in file.read_text().split()]
    assert len(pids) == 4
    for _ in range(100):
        if not any(map(_runs, pids)):
            return True
        time.sleep(0.1)
    return False


def _runs(pid):
    try:
        # A zombie has ended; whoever adopted it may not wait for it.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_ctrl_c_is_for_the_starting_process(forked_processes, monkeypatch):
    """Processes inherit what is blocked when they are started."""
    start, blocked = BaseProcess.start, []

    def note(process):
        blocked.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        start(process)

    monkeypatch.setattr(BaseProcess, "start", note)
    run_processes(time.sleep, (0,), processes=1, timeout=60.0)
    assert blocked == [True]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize(
    "fault, message",
    [
        (None, None),
        ("raise", r"^process 1: img_7\.png: broken; take it out$"),
        ("SIGKILL", "^process 1 was killed by SIGKILL; the machine may have run out of memory$"),
        ("SIGSTOP", r"^process 0: waited 5 s for another process.*PROCESS_TIMEOUT \(seconds\)$"),
    ],
)
def test_the_cause_is_told_and_no_process_is_left(
    tmp_path, forked_processes, monkeypatch, fault, message
):
    monkeypatch.setattr(processes, "_GRACE", 1.0)
    args = {"processes": 2, "timeout": 5.0 if fault == "SIGSTOP" else 300.0}
    if message is None:
        run_processes(sum_of_ranks, (tmp_path, fault), **args)
    else:
        with pytest.raises(ProcessError, match=message) as caught:
            run_processes(sum_of_ranks, (tmp_path, fault), **args)
        assert fault != "raise" or "Traceback" in caught.value.details
    assert [(tmp_path / f"sum_{i}").read_text() for i in range(2)] == ["1.0", "1.0"]
    assert ended(tmp_path)


def start_two(folder):
    """Wait for two processes, which are forks of this one."""
    multiprocessing.get_context = lambda method=None, get=multiprocessing.get_context: get("fork")
    run_processes(sum_of_ranks, (folder, "wait"), processes=2, timeout=120.0)


def test_none_is_left_where_the_starting_process_is_killed(tmp_path):
    starter = multiprocessing.get_context("forkserver").Process(target=start_two, args=(tmp_path,))
    starter.start()
    while not all((tmp_path / f"sum_{i}").exists() for i in range(2)):
        assert starter.is_alive()
        time.sleep(0.1)
    starter.kill()
    starter.join()
    assert ended(tmp_path)


def test_an_early_stop_is_one_of_all_processes(tmp_path, forked_processes):
    run_processes(stop_early, (tmp_path,), processes=2, timeout=60.0)
    assert {path.name for path in tmp_path.iterdir()} == {"stopped_0", "stopped_1"}


def test_the_gpu_of_a_process():
    place = Place(3, 4, 1, 2, "env://", 1.0)
    assert processes._gpu(place, 8) == 1
    with pytest.raises(ValueError, match="2 processes are on this machine, and 1 GPUs"):
        processes._gpu(place, 1)
    # srun --gpus-per-task 1 hides the others.
    assert processes._gpu(dataclasses.replace(place, own_gpu=True), 1) == 0
