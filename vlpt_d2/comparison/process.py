"""A run's process: its output, its end, and what it took."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ..utils.atomic import write_json
from .run import RECORD, GridRun, lacking

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

__all__ = ["RunProcess"]

# Seconds after which the record of a run is rewritten.
_SAVE_INTERVAL = 10.0


class RunProcess:
    """A run's process, and the record of it that survives a kill of this one.

    What it took is measured by the system at its end, and before that sampled on Linux. Windows
    reports neither.

    Attributes:
        run: what runs.
        slot: number of the place it takes among the runs at once.
        code: exit status of the process once it has ended, negative for a signal.
        lacking: what a process that ended with status 0 did not write; "" for nothing.
    """

    def __init__(
        self,
        run: GridRun,
        record: dict[str, Any],
        lock: AbstractContextManager,
        command: list[str],
        threads: int,
        slot: int = 0,
        gpus: Sequence[str] = (),
    ):
        """Start the process.

        Args:
            run: what is run.
            record: the sums of the run's earlier parts and what else is to be written.
            lock: left when the process has ended.
            command: what is started.
            threads: of each of its processes.
            slot: number of the place it takes among the runs at once.
            gpus: those that it sees, as CUDA_VISIBLE_DEVICES names them; all if empty.
        """
        self.run = run
        self.slot = slot
        self.code = 0
        self.lacking = ""
        self._ended = False
        self._stopped = False
        self._sampled = False
        self._record = record
        self._lock = lock
        self._before = record["seconds"]
        self._cpu_before = record["cpu_seconds"]
        self._start = time.monotonic()
        self._save()
        env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        if gpus:
            env["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        with open(run.folder / "console.txt", "ab") as console:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=env,
            )

    @property
    def seconds(self) -> float:
        """Time of the run so far, its earlier parts included."""
        return self._before + time.monotonic() - self._start

    def ended(self) -> bool:
        """Whether the process has ended; then its record is complete.

        Raises:
            OSError: the record cannot be written.
        """
        if not self._has_ended() and time.monotonic() - self._saved > _SAVE_INTERVAL:
            cpu_seconds, peak = _usage(self._process.pid)
            self._sampled |= peak > 0
            self._measure(cpu_seconds, peak)
            self._save()
        return self._ended

    def ask_to_stop(self) -> None:
        """Tell the process to end; it may have ended already."""
        self._stopped = True
        # Not by Popen's methods: they take the exit status of an ended process, which is needed.
        # Until that is taken the number of the process is no other one's.
        if not self._ended:
            os.kill(self._process.pid, signal.SIGTERM)

    def stop(self) -> None:
        """End the process; what it did since its last checkpoint is lost.

        Raises:
            OSError: the record cannot be written. The process has ended nevertheless.
        """
        self.ask_to_stop()
        for _ in range(100):
            if self._has_ended():
                return
            time.sleep(0.1)
        os.kill(self._process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        while not self._has_ended():
            time.sleep(0.1)

    def _has_ended(self) -> bool:
        if self._ended:
            return True
        if resource is None:
            code = self._process.poll()
            if code is not None:
                self._close(code, 0.0, 0)
            return self._ended
        pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
        if pid:
            # Linux counts the memory of this process too, as the child starts as a copy of it.
            own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            exact = usage.ru_maxrss > own or not self._sampled
            # In bytes on macOS, in KiB on Linux.
            unit = 2**20 if sys.platform == "darwin" else 2**10
            peak = round(usage.ru_maxrss / unit) if exact else 0
            code = self._process.returncode = os.waitstatus_to_exitcode(status)
            self._close(code, usage.ru_utime + usage.ru_stime, peak)
        return self._ended

    def _close(self, code: int, cpu_seconds: float, peak_mib: int) -> None:
        self._ended = True
        self.code = code
        self._measure(cpu_seconds, peak_mib)
        with self._lock:
            if code == 0:
                self.lacking = lacking(self.run, self._record["settings"])
                status = "failed" if self.lacking else "finished"
            else:
                status = "killed" if code < 0 or self._stopped else "failed"
            self._save(status)
            if status == "finished":
                # Then the mark, without which an evaluation killed in here is re-run.
                for checkpoint in [*self.run.folder.glob("model_[0-9]*.pth"), self.run.trunk]:
                    checkpoint.unlink(missing_ok=True)
                self.run.mark_finished(self.seconds)

    def _measure(self, cpu_seconds: float, peak_mib: int) -> None:
        """Record what the process took, on top of the run's earlier parts."""
        self._record["cpu_seconds"] = round(self._cpu_before + cpu_seconds, 2)
        self._record["peak_memory_mib"] = max(peak_mib, self._record["peak_memory_mib"])

    def _save(self, status: str = "running") -> None:
        self._saved = time.monotonic()
        self._record.update(status=status, seconds=round(self.seconds, 2))
        write_json(self.run.folder / RECORD, self._record, indent=1)


def _usage(pid: int) -> tuple[float, int]:
    """Processor's seconds of a process and its ended children, and its peak memory in MiB.

    Zeros where the system does not tell: Linux does.
    """
    try:
        # Behind the name, which may hold anything, comes field 3; 14 to 17 are the times.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text("utf-8", "replace")
    except OSError:
        return 0.0, 0
    seconds = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    peaks = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
    return seconds, round(max(peaks, default=0) / 1024)
