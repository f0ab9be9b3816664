"""Which GPUs each of several runs at once sees, found out without taking any of their memory."""

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache

import torch

__all__ = ["device_name", "share_gpus", "visible_gpus"]


def visible_gpus() -> list[str]:
    """This machine's GPUs as CUDA_VISIBLE_DEVICES names them, those that it leaves."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    return [str(i) for i in range(torch.cuda.device_count())]


def share_gpus(jobs: int, each: int, gpus: Sequence[str]) -> list[tuple[str, ...]]:
    """Give each of some runs at once its GPUs.

    Args:
        jobs: runs at once.
        each: GPUs of each; 0: one, which several runs share where there are fewer than runs.
        gpus: all there are.

    Returns:
        For each run its GPUs; empty where there are none.

    Raises:
        ValueError: there are not enough.
    """
    if each and jobs * each > len(gpus):
        raise ValueError(
            f"{jobs} runs at once with {each} GPUs each need {jobs * each} (--jobs, --num-gpus); "
            f"there are {len(gpus)}"
        )
    if not gpus:
        return []
    count = each or 1
    return [tuple(gpus[(job * count + i) % len(gpus)] for i in range(count)) for job in range(jobs)]


def device_name(device: str, processes: int = 1) -> str:
    """What a run of MODEL.DEVICE ``device`` is trained on, for the tables."""
    if torch.device(device).type != "cuda":
        return "CPU"
    return f"{processes} x {_gpu_name()}" if processes > 1 else _gpu_name()


@cache
def _gpu_name() -> str:
    """Asked in a process of its own: whoever asks takes hundreds of MiB of the GPU's memory."""
    code = "import torch; print(torch.cuda.get_device_name())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return found.stdout.strip() or "GPU"
