"""A function in two processes of one group."""

import tempfile

import torch
import torch.multiprocessing as mp


def in_two_processes(function, *args):
    """What ``function(rank, *args)`` returns in each of two processes, connected by gloo."""
    with tempfile.TemporaryDirectory() as folder:
        mp.start_processes(_run, (function, args, folder), 2, start_method="forkserver")
        return [torch.load(f"{folder}/rank{rank}.pth") for rank in range(2)]


def _run(rank, function, args, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    torch.save(function(rank, *args), f"{folder}/rank{rank}.pth")
    torch.distributed.destroy_process_group()
