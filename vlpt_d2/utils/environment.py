"""What the environment of a process gives it: cores, and the folder of the datasets."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["data_root", "thread_count", "usable_cores"]

_CGROUPS = Path("/sys/fs/cgroup")


def data_root() -> Path:
    """The folder of all datasets: ``$DETECTRON2_DATASETS``, or "datasets"."""
    return Path(os.environ.get("DETECTRON2_DATASETS") or "datasets").expanduser()


def usable_cores() -> int:
    """Cores this process may use: its affinity, and the quota of its container.

    A part of a core is left out: threads that share one wait for each other.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = _cgroup_quota()
    return cores if quota is None else max(1, min(cores, int(quota)))


def thread_count(wanted: int = 0, processes: int = 1) -> int:
    """Threads that a process computes with.

    Args:
        wanted: their number; 0: the usable cores are shared between the processes, and the
            environment variable OMP_NUM_THREADS, where set, is a limit too.
        processes: of this machine.
    """
    if wanted > 0:
        return wanted
    threads = max(1, usable_cores() // processes)
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(threads, int(limit)) if limit.isdigit() and int(limit) > 0 else threads


def _cgroup_quota() -> float | None:
    """Cores that the control group (version 2 or 1) allows; None for no limit."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            limit, period = " ".join((_CGROUPS / name).read_text() for name in names).split()
            return None if limit in ("max", "-1") else int(limit) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return None
