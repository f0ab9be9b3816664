"""Time and peak memory by stage, on CPU and GPUs."""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

__all__ = ["StageClock"]

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class StageClock:
    """Attributes the time of each round to named stages; an inner stage is not part of the outer.

    On GPUs every change of stage waits for the kernels that were started, so rounds take somewhat
    longer than without. Memory is the peak while a stage runs: what tensors hold on a GPU; on the
    CPU the resident memory of the process (on Linux; elsewhere its peak so far, on Windows 0).
    """

    def __init__(self, device: str | torch.device = "cpu", memory: bool = True):
        """
        Args:
            device: where the kernels run.
            memory: whether to measure it; on the CPU that takes a fraction of a millisecond for
                each change of stage, which is not counted.
        """
        self.device = torch.device(device)
        self._measures_memory = memory
        # For each round the seconds of each stage.
        self.rounds: list[dict[str, float]] = []
        # Peak bytes of each stage over the rounds.
        self.memory: dict[str, int] = defaultdict(int)
        self._stack: list[str] = []
        self._since = 0.0

    @contextmanager
    def round(self) -> Iterator[None]:
        """Measure one round; what belongs to no stage is "other"."""
        self.rounds.append(defaultdict(float))
        with self.stage("other"):
            yield

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time in here for a stage; outside of rounds nothing is counted."""
        if not self.rounds:
            yield
            return
        self._switch()
        self._stack.append(name)
        self.rounds[-1][name] += 0.0
        try:
            yield
        finally:
            self._switch()
            self._stack.pop()

    def wrap(self, name: str, function: Callable) -> Callable:
        """Return the function with its calls counted for a stage."""

        def measured(*args, **kwargs):
            with self.stage(name):
                return function(*args, **kwargs)

        return measured

    def median(self) -> dict[str, float]:
        """Median seconds of each stage over the rounds, in the order they began, "other" last."""
        names = dict.fromkeys(name for each in self.rounds for name in each)
        if "other" in names:
            names["other"] = names.pop("other")
        return {
            name: float(np.median([each.get(name, 0.0) for each in self.rounds])) for name in names
        }

    def _switch(self) -> None:
        """Book time and peak memory since the last change for the stage that runs."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        name = self._stack[-1] if self._stack else None
        if name is not None:
            self.rounds[-1][name] += now - self._since
        if self._measures_memory:
            peak = self._peak()
            if name is not None:
                self.memory[name] = max(self.memory[name], peak)
        self._since = time.perf_counter()

    def _peak(self) -> int:
        """Peak memory since the last call, in bytes."""
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            return peak
        try:
            lines = _STATUS.read_text().splitlines()
            _CLEAR.write_text("5")  # resets the peak, see proc_pid_clear_refs(5)
            return next(int(x.split()[1]) * 1024 for x in lines if x.startswith("VmHWM"))
        except (OSError, StopIteration):
            # In KiB, as on Linux without the rights for the above; macOS counts bytes.
            unit = 1 if sys.platform == "darwin" else 1024
            return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if resource else 0
