"""Checks of processors, threads and accelerators."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from .finding import Finding

__all__ = ["available_cores", "check_gpu", "check_threads"]


def check_gpu() -> Iterator[Finding]:
    """What training would run on."""
    try:
        import torch
    except (ImportError, OSError):
        yield Finding.note("GPU", "cannot be checked without torch")
        return
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            memory = properties.total_memory / 2**30
            yield Finding.ok("GPU", f"{index}: {properties.name}, {memory:.0f} GiB")
    elif shutil.which("nvidia-smi") or os.path.exists("/proc/driver/nvidia/version"):
        built = "a CPU-only build" if torch.version.cuda is None else f"CUDA {torch.version.cuda}"
        yield Finding.note(
            "GPU",
            f"an NVIDIA driver is there, but torch ({built}) cannot use it; training runs on CPU",
            "install a torch built for the driver's CUDA version, and torchvision with it "
            "(nvidia-smi shows the version)",
        )
    else:
        yield Finding.note("GPU", "none; training runs on CPU, fit for the quickstart only")


def check_threads() -> Iterator[Finding]:
    """Threads against free cores: too many of them slow training down tenfold."""
    cores = available_cores()
    set_to = os.environ.get("OMP_NUM_THREADS", "")
    if set_to.isdigit():
        threads = int(set_to)
    else:
        try:
            import torch

            threads = torch.get_num_threads()
        except (ImportError, OSError):
            threads = cores
    text = f"{threads} for {cores} cores"
    if threads > cores:
        yield Finding.note(
            "threads",
            f"{text}: more threads than cores are slow",
            f"export OMP_NUM_THREADS={cores}",
        )
    else:
        yield Finding.ok("threads", text)


def available_cores() -> int:
    """Cores this process may use: its affinity, and its container's quota (cgroup v2 or v1)."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = _cgroup_quota()
    return cores if quota is None else max(1, min(cores, round(quota)))


def _cgroup_quota(root: str = "/sys/fs/cgroup") -> float | None:
    try:
        with open(f"{root}/cpu.max") as file:
            limit, period = file.read().split()
    except (OSError, ValueError):
        try:
            with open(f"{root}/cpu/cpu.cfs_quota_us") as file:
                limit = file.read().strip()
            with open(f"{root}/cpu/cpu.cfs_period_us") as file:
                period = file.read().strip()
        except OSError:
            return None
    if limit in ("max", "-1"):
        return None
    return int(limit) / int(period)
