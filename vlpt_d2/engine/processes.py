"""Several processes that train together: started here, or by another launcher."""

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, cast

import torch
from detectron2.utils import comm
from torch import distributed
from torch.distributed.elastic.multiprocessing.errors import get_error_handler

from ..utils.errors import describe
from .place import Place

__all__ = ["ProcessError", "joined", "leave", "run_processes"]

logger = logging.getLogger(__name__)

# Seconds to wait for the cause where the first that is heard of is a lost connection.
_GRACE = 5.0
# Seconds between two looks at the processes.
_POLL = 0.1


class ProcessError(RuntimeError):
    """A process of the run failed; ``details`` is its traceback, ``exit_status`` the run's."""

    def __init__(self, message: str, details: str = "", exit_status: int = 1):
        super().__init__(message)
        self.details = details
        self.exit_status = exit_status


@contextlib.contextmanager
def joined(place: Place) -> Iterator[None]:
    """Join the other processes, on the GPU of this one's local rank or over gloo on the CPU.

    Raises:
        ProcessError: the others cannot be met or are lost; the message names the limit to raise.
    """
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(_gpu(place, torch.cuda.device_count()))
    try:
        distributed.init_process_group(
            "nccl" if on_gpu else "gloo",
            init_method=place.url,
            world_size=place.size,
            rank=place.rank,
            timeout=timedelta(seconds=place.timeout),
        )
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ProcessError(
            f"the {place.size} processes did not meet at {place.url}: {reason}. Start all of them "
            "with the same address, whose port is free"
        ) from error
    comm.create_local_process_group(place.local_size)
    try:
        # Else the first collective of one may time out while another one starts.
        comm.synchronize()
        yield
        comm.synchronize()
    except RuntimeError as error:
        if not _is_lost(error):
            raise
        raise ProcessError(_lost(error, place)) from error
    distributed.destroy_process_group()


def _gpu(place: Place, gpus: int) -> int:
    """The index of a process's GPU among those that it sees."""
    if gpus >= place.local_size:
        return place.local_rank
    if gpus == 1 and place.own_gpu:
        return 0
    raise ValueError(
        f"{place.local_size} processes are on this machine, and {gpus} GPUs: start as many, or "
        "hide the GPUs (CUDA_VISIBLE_DEVICES='') to run on the CPU"
    )


def leave(error: BaseException, status: int) -> None:
    """End this process if it has joined others, as it failed and they are still there.

    Args:
        error: why, which torchrun reports.
        status: of the process.
    """
    if not distributed.is_initialized():
        return
    if isinstance(error, ProcessError):
        # So that the process that has the cause is the first to end.
        time.sleep(_GRACE)
    elif "TORCHELASTIC_ERROR_FILE" in os.environ:
        get_error_handler().record_exception(error)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Tearing down what is left may wait for the others.
    os._exit(status)


def run_processes(
    function: Callable[..., Any],
    args: tuple,
    *,
    processes: int,
    machines: int = 1,
    machine: int = 0,
    url: str = "auto",
    timeout: float,
) -> None:
    """Run a function in several processes of this machine, and end all of them with the first.

    None is left behind: neither one that is stopped, nor a loader's workers, nor where this
    process is killed.

    Args:
        function: can be imported by name.
        args: its arguments.
        processes: of this machine.
        machines: each starts as many.
        machine: number of this one, from 0.
        url: where all meet; "auto": at a free port of this machine.
        timeout: seconds that a process waits for the others at most.

    Raises:
        ProcessError: one failed or was killed. Of several, the one that was not only cut off from
            another.
    """
    if url == "auto":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    members = []
    try:
        for local_rank in range(processes):
            rank = machine * processes + local_rank
            place = Place(rank, machines * processes, local_rank, processes, url, timeout)
            members.append(_Member(place, function, args))
        failure = _wait(members)
    finally:
        for member in members:
            member.kill()
    if failure is not None:
        raise failure.error


@dataclass(frozen=True)
class _Failure:
    error: ProcessError
    # Whether another process's end may be the cause.
    lost: bool


class _Member:
    """A process that was started here."""

    def __init__(self, place: Place, function: Callable[..., Any], args: tuple):
        # Forked processes cannot use a GPU.
        context = multiprocessing.get_context("spawn")
        self.place = place
        self._ended = False
        self._reports, reports = context.Pipe(duplex=False)
        self._process = context.Process(target=_run_member, args=(place, function, args, reports))
        # Else starting it would let Ctrl-C through.
        resource_tracker.ensure_running()
        # This process ends it. It would print a traceback while it has no group of its own yet.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        reports.close()

    def ended(self) -> bool:
        """Whether the process has ended; those that it has started may still run."""
        return self._process.exitcode is not None

    def failure(self) -> _Failure | None:
        """Why the process, which has ended, failed; None if it did not."""
        self.kill()
        self._ended = True
        name = f"process {self.place.rank}"
        try:
            if self._reports.poll():
                message, details, status, lost = self._reports.recv()
                return _Failure(ProcessError(f"{name}: {message}", details, status), lost)
        except EOFError:
            pass
        code = cast(int, self._process.exitcode)
        if code == 0:
            return None
        if code > 0:
            return _Failure(ProcessError(f"{name} ended with status {code}"), False)
        killed = signal.Signals(-code).name
        hint = "; the machine may have run out of memory" if killed == "SIGKILL" else ""
        return _Failure(ProcessError(f"{name} was killed by {killed}{hint}"), False)

    def kill(self) -> None:
        """End the process and those that it has started."""
        if self._ended:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(cast(int, self._process.pid), signal.SIGKILL)
        if self._process.is_alive():
            # It has not come as far as its own group.
            self._process.kill()
        self._process.join(_GRACE)


def _wait(members: list[_Member]) -> _Failure | None:
    running, first, deadline = list(members), None, float("inf")
    while running and time.monotonic() < deadline:
        # Polled, since a process's sentinel waits for its loader's workers too.
        time.sleep(_POLL)
        for member in [member for member in running if member.ended()]:
            running.remove(member)
            failure = member.failure()
            if failure is not None and not failure.lost:
                return failure
            if failure is not None and first is None:
                first, deadline = failure, time.monotonic() + _GRACE
    return first


def _run_member(place: Place, function: Callable[..., Any], args: tuple, reports: Connection):
    # A group of its own, so that it and its loader's workers can be ended together.
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with joined(place):
            function(*args)
    except Exception as error:
        lost = isinstance(error, ProcessError) or _is_lost(error)
        status = getattr(error, "exit_status", 1)
        reports.send((describe(error), traceback.format_exc(), status, lost))
        logging.shutdown()
        # Tearing down what is left may wait for the others.
        os._exit(1)


def _end_with_parent() -> None:
    cast(BaseProcess, multiprocessing.parent_process()).join()
    os.killpg(0, signal.SIGKILL)


def _is_lost(error: BaseException) -> bool:
    """Whether an error says no more than that another process did not answer."""
    text = str(error)
    return isinstance(error, distributed.DistError) or (
        isinstance(error, RuntimeError) and any(word in text for word in _LOST)
    )


# How gloo reports it, as a plain RuntimeError.
_LOST = ("gloo", "closed by peer", "reset by peer", "Timed out waiting", "caused pair closure")


def _lost(error: RuntimeError, place: Place) -> str:
    text = str(error)
    if "imed out" in text or "imeout" in text:
        return (
            f"waited {place.timeout:g} s for another process of the run, and gave up: one is "
            "stopped, hangs, or has more to do than the others. If it is only slow, raise "
            "PROCESS_TIMEOUT (seconds)"
        )
    return "the connection to another process of the run broke; its own message has the cause"
