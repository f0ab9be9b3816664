"""A run's process: the lock on its folder, its output, its end, and what it took."""

import fcntl
import os
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ..utils.atomic import write_json
from .run import RECORD, Run

__all__ = ["Job", "lock_folder"]

# Seconds after which the record of a run is written anew.
_SAVE_INTERVAL = 10.0


def lock_folder(folder: Path) -> IO[str] | None:
    """Lock a run's folder for one process; None where another one holds it.

    The trainer inherits the lock, so that one which outlives its parent is not started twice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = open(folder / "lock", "a+")  # noqa: SIM115, it is held until the run ends
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


class Job:
    """A run's process, and the record of it that survives a kill of this one.

    Attributes:
        run: what runs.
        slot: number of the place it takes among the runs at once.
        code: exit status of the process once it has ended, negative for a signal.
    """

    def __init__(
        self,
        run: Run,
        record: dict,
        lock: IO[str],
        command: list[str],
        threads: int,
        slot: int = 0,
        gpus: Sequence[str] = (),
    ):
        """Start a run's process.

        Args:
            run: whose folder is locked.
            record: the sums of the run's earlier parts and what else is to be written.
            lock: of :func:`lock_folder`.
            command: what is started.
            threads: of each of its processes.
            slot: number of the place it takes among the runs at once.
            gpus: those that it sees, as CUDA_VISIBLE_DEVICES names them; all if empty.
        """
        self.run = run
        self.slot = slot
        self.code = 0
        self._stopped = False
        self._sampled = False
        self._record = record
        self._lock = lock
        self._before = record["seconds"]
        self._cpu_before = record["cpu_seconds"]
        self._start = self._saved = time.monotonic()
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
                pass_fds=(lock.fileno(),),
            )

    @property
    def seconds(self) -> float:
        """Time of the run so far, its earlier parts included."""
        return self._before + time.monotonic() - self._start

    def ended(self) -> bool:
        """Whether the process has ended; then its record is complete."""
        pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
        if pid == 0:
            if time.monotonic() - self._saved > _SAVE_INTERVAL:
                cpu_seconds, peak = _usage(self._process.pid)
                self._sampled |= peak > 0
                self._measure(cpu_seconds, peak)
                self._save()
            return False
        self._close(status, usage)
        return True

    def ask_to_stop(self) -> None:
        """Tell the process to end; it may have ended already."""
        self._stopped = True
        # Not by Popen's methods: they take the exit status of an ended process, which is needed.
        os.kill(self._process.pid, signal.SIGTERM)

    def stop(self) -> None:
        """End the process; what it did since its last checkpoint is lost."""
        self.ask_to_stop()
        for _ in range(100):
            if self.ended():
                return
            time.sleep(0.1)
        os.kill(self._process.pid, signal.SIGKILL)
        self._close(*os.wait4(self._process.pid, 0)[1:])

    def _close(self, wait_status: int, usage: resource.struct_rusage) -> None:
        self.code = self._process.returncode = os.waitstatus_to_exitcode(wait_status)
        # In KiB on Linux, which counts the memory of this process too, as the child begins with it.
        peak, own = usage.ru_maxrss, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        exact = peak > own or not self._sampled
        self._measure(usage.ru_utime + usage.ru_stime, round(peak / 1024) if exact else 0)
        if self.code == 0:
            status = "finished"
        else:
            status = "killed" if self.code < 0 or self._stopped else "failed"
        self._save(status)
        if self.code == 0:
            self.run.stage.finish(self.seconds)
            for checkpoint in self.run.folder.glob("model_[0-9]*.pth"):
                checkpoint.unlink()
        self._lock.close()

    def _measure(self, cpu_seconds: float, peak_mib: int) -> None:
        """Record what the process took, on top of the run's earlier parts."""
        self._record["cpu_seconds"] = round(self._cpu_before + cpu_seconds, 2)
        self._record["peak_memory_mib"] = max(peak_mib, self._record["peak_memory_mib"])

    def _save(self, status: str = "running") -> None:
        self._saved = time.monotonic()
        self._record.update(status=status, seconds=round(self.seconds, 1))
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
