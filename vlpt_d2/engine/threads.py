"""How many threads a process computes with: the one place that decides it."""

import os
from pathlib import Path

import cv2
import torch
from detectron2.config import CfgNode
from detectron2.utils import comm

__all__ = ["set_threads", "usable_cores"]


def usable_cores() -> int:
    """Cores this process may use: its affinity, and the quota of its container (cgroup v2)."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return cores


def set_threads(cfg: CfgNode) -> int:
    """Set the threads of torch and OpenCV in this process to NUM_THREADS.

    With 0 the usable cores are shared between the processes of this machine: a linear algebra
    library with more threads than cores slows down tenfold. The environment variable
    OMP_NUM_THREADS, where set, is a limit too.

    Returns:
        The number of threads.
    """
    threads = cfg.NUM_THREADS
    if threads <= 0:
        local = comm.get_local_size() if comm.get_world_size() > 1 else 1
        threads = max(1, usable_cores() // local)
        limit = os.environ.get("OMP_NUM_THREADS", "")
        if limit.isdigit() and int(limit) > 0:
            threads = min(threads, int(limit))
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    return threads
