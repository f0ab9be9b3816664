"""How many threads a process computes with: the one place that decides it."""

import cv2
import torch
from detectron2.config import CfgNode
from detectron2.utils import comm

from ..utils.environment import thread_count

__all__ = ["set_threads"]


def set_threads(cfg: CfgNode) -> int:
    """Set the threads of torch and OpenCV in this process to NUM_THREADS.

    With 0 the usable cores are shared between the processes of this machine: a linear algebra
    library with more threads than cores slows down tenfold. The environment variable
    OMP_NUM_THREADS, where set, is a limit too.

    Returns:
        The number of threads.
    """
    local = comm.get_local_size() if comm.get_world_size() > 1 else 1
    threads = thread_count(cfg.NUM_THREADS, local)
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    return threads
