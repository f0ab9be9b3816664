"""A process's place among those that train together, as torchrun or SLURM's srun gives it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Place", "launched_place"]


@dataclass(frozen=True)
class Place:
    """One process's place among those that train together.

    Attributes:
        rank: among all, from 0; those of a machine follow each other.
        size: their number.
        local_rank: among those of this machine.
        local_size: their number, the same on each machine.
        url: where all meet, as torch.distributed takes it.
        timeout: seconds that it waits for the others at most.
        own_gpu: where it sees a single GPU, that is none of the others'.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    url: str
    timeout: float
    own_gpu: bool = False


def launched_place(
    environment: Mapping[str, str], timeout: float, *, url: str = "auto", machines: int = 1
) -> Place | None:
    """The place of a process that torchrun (or what sets its variables) or srun has started.

    Args:
        environment: of the process.
        timeout: see :class:`Place`.
        url: where srun's processes meet; "auto": at the first host of the step, at a port made of
            the numbers of the job and of the step.
        machines: where srun starts as many processes, one on each machine, these start the others.

    Returns:
        None where it was not started so, or is the only process. SLURM's variables also are in the
        shells of ``salloc``, ``srun --pty`` and ``sbatch``, which start processes by other means.

    Raises:
        ValueError: a variable cannot be read, the machines have different numbers of processes,
            or srun has started torchruns that do not know of each other.
    """
    tasks = 1
    # Set by srun alone, for each of its processes. A terminal is one process's.
    if "SLURM_STEP_NUM_TASKS" in environment and "SLURM_PTY_PORT" not in environment:
        tasks = _number(environment, "SLURM_STEP_NUM_TASKS")
    if all(name in environment for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR")):
        return _place_of_torchrun(environment, timeout, tasks)
    if tasks == 1 or machines == tasks:
        return None
    per_machine = environment.get("SLURM_STEP_TASKS_PER_NODE", "")
    # "4", "4(x2)" for two machines, or "4,3".
    even = re.fullmatch(r"(\d+)(\(x\d+\))?", per_machine)
    if not even:
        raise ValueError(
            f"srun starts {per_machine or 'no known number of'} tasks on its machines "
            "(SLURM_STEP_TASKS_PER_NODE); each must have as many: set --nodes and --ntasks-per-node"
        )
    local_size, local_rank = int(even[1]), _number(environment, "SLURM_LOCALID")
    # srun may number its tasks across the machines.
    rank = _number(environment, "SLURM_NODEID") * local_size + local_rank
    if url == "auto":
        host = "127.0.0.1" if tasks == local_size else _first_host(environment)
        job, step = (_number(environment, f"SLURM_{name}_ID") for name in ("JOB", "STEP"))
        # Below the ports that Linux gives to connections.
        url = f"tcp://{host}:{10_000 + (16 * job + step) % 20_000}"
    return Place(rank, tasks, local_rank, local_size, url, timeout, own_gpu=True)


def _place_of_torchrun(environment: Mapping[str, str], timeout: float, tasks: int) -> Place | None:
    rank, size, local_rank = (
        _number(environment, name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    )
    agents = environment.get("GROUP_WORLD_SIZE", str(tasks))
    if tasks > 1 and agents != str(tasks):
        raise ValueError(
            f"srun has started {tasks} torchruns, and each runs as one of {agents}: start one on "
            f"each machine with --nnodes {tasks} and a common --rdzv-endpoint, or leave torchrun "
            "out and let srun start one task for each GPU"
        )
    if size == 1:
        return None
    local_size = _number({"LOCAL_WORLD_SIZE": str(size), **environment}, "LOCAL_WORLD_SIZE")
    return Place(rank, size, local_rank, local_size, "env://", timeout)


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not text.isdecimal():
        raise ValueError(
            f"the environment variable {name} is {text!r}, not a number: torchrun or srun sets it "
            "for each process. To start one process, unset it"
        )
    return int(text)


def _first_host(environment: Mapping[str, str]) -> str:
    """The first of a list such as "node[01-04,07],gpu3"."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])+", environment.get("SLURM_STEP_NODELIST", ""))
    if not first:
        raise ValueError("SLURM_STEP_NODELIST names no host: give the meeting place as --dist-url")
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", first[0])
