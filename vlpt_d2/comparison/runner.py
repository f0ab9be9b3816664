"""Running what is missing of a grid: in processes, several at once, resumed after kills."""

import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..checkpoint import CheckpointError, extract_trunk
from ..engine.training_run import TRAINER
from ..utils.locks import FolderInUseError, lock_folder
from ..utils.provenance import git_commit
from ..visualization.curves import read_metrics
from .gpus import device_name
from .process import RunProcess
from .run import GridRun, RunState, run_config, state_of

__all__ = ["Runner"]

# A run that a signal ends is started again this often before it counts as failed.
_RESTARTS = 3
# Seconds that the processes of a trainer, one of which holds its lock, take to end after a kill of
# the first.
_ORPHANS = 15.0
# Of a failed run's output, in the message.
_TAIL_LINES = 5


@dataclass
class Runner:
    """Runs what is missing of some runs.

    Attributes:
        jobs: processes at once.
        threads: of each, shared by its processes.
        gpus: for each of the jobs those that it sees, as CUDA_VISIBLE_DEVICES names them; a run
            has a process for each. If empty a run has one process and sees what this one does.
        trainer: command of ``vlpt-d2 train``.
        say: called with each line of progress.
        after_run: called whenever a run has ended.
        interval: seconds between lines of progress.
        poll: seconds between looks at the processes.
    """

    jobs: int = 1
    threads: int = 1
    gpus: Sequence[Sequence[str]] = ()
    trainer: Sequence[str] = TRAINER
    say: Callable[[str], None] = print
    after_run: Callable[[], None] = lambda: None
    interval: float = 60.0
    poll: float = 0.5
    _active: list[RunProcess] = field(default_factory=list)
    _kills: dict[GridRun, int] = field(default_factory=dict)
    # Until when locked runs are waited for although nothing runs.
    _patience: float = 0.0

    def __call__(self, runs: Sequence[GridRun]) -> dict[GridRun, str]:
        """Run what is missing, one's pre-training before it.

        A run that a signal ended resumes from its last checkpoint. Of one that failed, is stale
        or unusable, the message is kept, and the rest is run.

        Returns:
            Each run that is not finished, to why.

        Raises:
            OSError: a record cannot be written. All trainers have been stopped.
        """
        pending: list[GridRun] = []
        problems: dict[GridRun, str] = {}
        for run in runs:
            state = state_of(run)
            if state.status in ("stale", "unusable"):
                problems[run] = state.message
                self.say(state.message)
            elif state.status != "finished":
                pending.append(run)
        self.say(f"{len(runs) - len(pending) - len(problems)} of {len(runs)} runs are finished")
        last_line = time.monotonic()
        try:
            while pending or self._active:
                self._collect(pending, problems)
                locked = self._fill(pending, problems)
                waiting = locked and time.monotonic() <= self._patience
                if not self._active and not waiting:
                    break
                if time.monotonic() - last_line >= self.interval:
                    last_line = time.monotonic()
                    self.say(self._progress(runs, pending))
                time.sleep(self.poll)
        finally:
            for job in self._active:
                job.ask_to_stop()
            for job in self._active:
                self._stop(job)
            self._active.clear()
        for run in pending:
            problems[run] = self._why_pending(run, problems)
            self.say(problems[run])
        return problems

    def _fill(self, pending: list[GridRun], problems: dict[GridRun, str]) -> bool:
        """Start what can be started; return whether another process's lock kept a run from it."""
        locked = False
        for run in list(pending):
            if len(self._active) >= self.jobs:
                break
            start = run.start
            if start is not None and (
                start in problems
                or start in pending
                or any(job.run is start for job in self._active)
                or not start.finished
            ):
                continue
            try:
                lock = _hold(run.folder)
            except FolderInUseError:
                locked = True
                continue
            # Files may have been edited, and other processes have run, since the last look.
            run_config.cache_clear()
            if start is not None and (fault := _fault(start)):
                lock.close()
                problems[start] = fault
                self.say(fault)
                continue
            state = state_of(run)
            pending.remove(run)
            if state.status in ("finished", "stale", "unusable"):
                lock.close()
                if state.message:
                    problems[run] = state.message
                    self.say(state.message)
                continue
            if start is not None and run.trunk_only:
                try:
                    extract_trunk(str(start.final_weights), str(run.trunk))
                except CheckpointError as error:
                    lock.close()
                    problems[run] = f"{run.name}: {error}"
                    self.say(problems[run])
                    continue
            self.say(f"{run.name}: {'resumed' if state.record else 'started'} in {run.folder}")
            self._active.append(self._start(run, state, lock))
        return locked

    def _start(self, run: GridRun, state: RunState, lock: ExitStack) -> RunProcess:
        """Start a run from a copy of its config, which no later edit reaches."""
        config = run.folder / "start.yaml"
        config.write_text(run_config(run).cfg.dump(), encoding="utf-8")
        slot = min(set(range(self.jobs)) - {job.slot for job in self._active})
        gpus = self.gpus[slot] if self.gpus else ()
        processes = max(1, len(gpus))
        threads = max(1, self.threads // processes)
        arguments = ["--num-gpus", str(processes)] if processes > 1 else []
        command = replace(run, config=str(config)).command(self.trainer, arguments)
        command += ["NUM_THREADS", str(threads)]
        record = _record(run, state, command, processes)
        return RunProcess(run, record, lock, command, threads, slot, gpus)

    def _collect(self, pending: list[GridRun], problems: dict[GridRun, str]) -> None:
        """See which processes have ended."""
        for job in [job for job in self._active if job.ended()]:
            self._active.remove(job)
            run = job.run
            if job.code == 0 and not job.lacking:
                self.say(f"{run.name}: finished after {job.seconds / 60:.1f} minutes")
            elif job.code < 0 and self._kills.get(run, 0) < _RESTARTS:
                self._kills[run] = self._kills.get(run, 0) + 1
                self._patience = time.monotonic() + _ORPHANS
                self.say(f"{run.name}: killed by {_signal(job.code)}; it resumes")
                pending.insert(0, run)
                continue
            else:
                how = f"exit {job.code}" if job.code >= 0 else _signal(job.code)
                how += f", without {job.lacking}" if job.lacking else ""
                console = run.folder / "console.txt"
                problems[run] = f"{run.name}: failed ({how}); {console} ends with\n{_tail(console)}"
                self.say(problems[run])
            self.after_run()

    def _stop(self, job: RunProcess) -> None:
        """End a run while an error or an interrupt is on its way, which is not to be hidden."""
        try:
            job.stop()
        except OSError as error:
            self.say(f"{job.run.name}: its record cannot be written: {error}")

    def _why_pending(self, run: GridRun, problems: dict[GridRun, str]) -> str:
        if run.start is not None and run.start in problems:
            return f"{run.name}: not run, because its pre-training is not finished"
        return f"{run.name}: left to another process, which works in {run.folder}"

    def _progress(self, runs: Sequence[GridRun], pending: Sequence[GridRun]) -> str:
        done = sum(run.finished for run in runs)
        now = ", ".join(f"{job.run.name} ({_step(job.run)})" for job in self._active)
        left = self._seconds_left(runs, pending)
        eta = "" if left is None else f"; about {left / 60:.0f} minutes left"
        return f"{time.strftime('%H:%M')} {done} of {len(runs)} runs finished; {now}{eta}"

    def _seconds_left(self, runs: Sequence[GridRun], pending: Sequence[GridRun]) -> float | None:
        """From the time that finished runs of the same config took; None before there are any."""
        times: dict[str, list[float]] = {}
        for run in runs:
            if run.finished:
                times.setdefault(run.config, []).append(state_of(run).record.get("seconds", 0.0))
        everything = [s for each in times.values() for s in each]
        if not everything:
            return None
        expected = {config: sum(each) / len(each) for config, each in times.items()}
        usual = sum(everything) / len(everything)
        left = sum(expected.get(run.config, usual) for run in pending)
        for job in self._active:
            left += max(0.0, expected.get(job.run.config, usual) - job.seconds)
        return left / self.jobs


def _hold(folder: Path) -> ExitStack:
    """Hold a run's folder against other comparisons.

    Raises:
        FolderInUseError: one holds it, or a trainer works there that outlived its comparison.
    """
    with ExitStack() as stack:
        stack.enter_context(lock_folder(folder, "compare.lock"))
        with lock_folder(folder):
            pass
        return stack.pop_all()


def _fault(start: GridRun) -> str:
    """Why a detector cannot start from a finished pre-training; "" where it can."""
    state = state_of(start)
    if state.message:
        return state.message
    if not start.final_weights.is_file():
        return (
            f"{start.name}: it is finished and {start.final_weights} is gone; put it back, or "
            f"remove {start.folder} to run it again"
        )
    return ""


def _record(run: GridRun, state: RunState, command: Iterable[str], processes: int) -> dict:
    """What is written of a run when it is started, what it took before included."""
    config = run_config(run)
    return {
        "name": run.name,
        "command": list(command),
        "config": run.config,
        "config_sha256": config.sha256,
        "settings": dict(config.settings),
        "commit": git_commit(),
        "device": device_name(config.cfg.MODEL.DEVICE, processes),
        "starts": state.record.get("starts", 0) + 1,
        "seconds": state.record.get("seconds", 0.0),
        "cpu_seconds": state.record.get("cpu_seconds", 0.0),
        "peak_memory_mib": state.record.get("peak_memory_mib", 0),
    }


def _step(run: GridRun) -> str:
    try:
        curves = read_metrics(run.folder / "metrics.json", lenient=True)
        done = max(points[-1][0] for points in curves.values()) + 1
    except (FileNotFoundError, ValueError):
        return "starting"
    total = run_config(run).cfg.SOLVER
    return f"step {done}" if total.EPOCHS > 0 else f"step {done} of {total.MAX_ITER}"


def _signal(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _tail(path: Path) -> str:
    lines = path.read_text("utf-8", errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-_TAIL_LINES:])
