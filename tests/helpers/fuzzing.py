"""Runs a piece of the product on damaged files, and says what it should not have done.

A module ``fuzz_<topic>.py`` in this folder lists its :class:`Target` objects in ``TARGETS``; they
take part in ``make fuzz`` (``tools/fuzz.py``) and, a hundredth of them, in the test suite.
"""

from __future__ import annotations

import importlib
import multiprocessing
import random
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

__all__ = ["Failure", "Silence", "Target", "all_targets", "run_case", "run_target"]

#: Seconds of processor time for one file, and bytes of memory above what the imports take.
TIME_LIMIT, MEMORY_LIMIT = 10, 2**30
# Wall time, for a case that waits and takes no processor time; a busy machine is slow, not stuck.
_PATIENCE = 30 * TIME_LIMIT


class Silence(AssertionError):
    """A damaged file was read as if it held nothing, or not what it holds, and nobody was told."""


@dataclass(frozen=True)
class Target:
    """Something that reads files.

    Attributes:
        name: for the command line, such as "icdar2015_train".
        prepare: writes undamaged files into an empty folder, once per run.
        damage: writes the damaged file, or files, over them: all that differs between two cases is
            the generator. Returns the file to show when the case fails.
        read: reads the folder. Raises one of ``errors`` where that is right, :class:`Silence`
            where it is not.
        errors: the project's own error types that a user may see as one line.
        count: cases of a full run.
    """

    name: str
    prepare: Callable[[Path], None]
    damage: Callable[[Path, random.Random], Path]
    read: Callable[[Path], None]
    errors: tuple[type[BaseException], ...]
    count: int


@dataclass
class Failure:
    """A case that went wrong.

    Attributes:
        target: its name.
        seed: of the run.
        number: of the case; with seed and target it makes the same file again.
        reason: one line.
        details: the traceback where there is one.
    """

    target: str
    seed: int
    number: int
    reason: str
    details: str = ""


def all_targets() -> list[Target]:
    """The targets of every ``fuzz_<topic>.py`` in this folder.

    Raises:
        ValueError: two have one name.
    """
    modules = sorted(path.stem for path in Path(__file__).parent.glob("fuzz_*.py"))
    found = [t for m in modules for t in importlib.import_module(f"helpers.{m}").TARGETS]
    names = [target.name for target in found]
    if len(set(names)) < len(names):
        raise ValueError(f"targets of one name: {sorted(n for n in names if names.count(n) > 1)}")
    return found


def run_case(
    target: Target, folder: Path, seed: int, number: int
) -> tuple[Failure | None, Path | None]:
    """Damage the prepared folder as the numbered case does, and read it.

    Returns:
        What went wrong, if anything did, and the damaged file.
    """
    rng = random.Random(f"{seed} {target.name} {number}")
    path = None
    try:
        path = target.damage(folder, rng)
        target.read(folder)
    except target.errors as error:
        # A user has to be told what is wrong, and in one line or a few.
        if not str(error).strip():
            return Failure(target.name, seed, number, "an error without a message"), path
    except Silence as error:
        return Failure(target.name, seed, number, f"silent: {error}"), path
    except Exception as error:
        reason = f"bare {type(error).__name__}: {str(error)[:200]}"
        return Failure(target.name, seed, number, reason, traceback.format_exc()), path
    return None, path


def run_target(
    target: Target, seed: int, numbers: Sequence[int], seconds: float, keep: Path | None = None
) -> tuple[list[Failure], int]:
    """Run cases in a process of their own, which may hang, crash or run out of memory.

    Args:
        target: what to run.
        seed: of the run.
        numbers: the cases.
        seconds: after these no further case is started.
        keep: where damaged files of failed cases go, as ``<target>-<seed>-<number>/<name>``.

    Returns:
        What went wrong, and the number of cases that were run.
    """
    failures: list[Failure] = []
    end = time.monotonic() + seconds
    done = 0
    with tempfile.TemporaryDirectory(prefix="fuzz_") as folder:
        target.prepare(Path(folder))
        while done < len(numbers) and time.monotonic() < end:
            number, failure = _run_until_death(
                target, Path(folder), seed, numbers[done:], end, keep, failures
            )
            done = len(numbers) if number is None else numbers.index(number)
            if failure is not None:
                failures.append(failure)
                done += 1
            elif number is not None:
                break
    return failures, done


def _run_until_death(
    target: Target,
    folder: Path,
    seed: int,
    numbers: Sequence[int],
    end: float,
    keep: Path | None,
    failures: list[Failure],
) -> tuple[int | None, Failure | None]:
    """The case that was next when the time was up or the process died, and why it died."""
    context = multiprocessing.get_context("fork")  # the imports take longer than all the cases
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_serve, args=(sender, target, folder, seed, numbers, end, keep))
    child.start()
    sender.close()
    number = numbers[0]
    try:
        while True:
            if not receiver.poll(_PATIENCE):
                return number, Failure(target.name, seed, number, f"hangs for {_PATIENCE} s")
            message = receiver.recv()
            if isinstance(message, Failure):
                failures.append(message)
            elif message is None:
                return None, None
            elif message < 0:
                return -message - 1, None
            else:
                number = message
    except EOFError:
        child.join()
        how = (
            f"takes more than {TIME_LIMIT} s of processor time"
            if child.exitcode == -signal.SIGPROF
            else f"the process died (exit status {child.exitcode})"
        )
        return number, Failure(target.name, seed, number, how)
    finally:
        receiver.close()
        child.kill()
        child.join()


def _serve(
    sender: Connection,
    target: Target,
    folder: Path,
    seed: int,
    numbers: Sequence[int],
    end: float,
    keep: Path | None,
) -> None:
    """In the child: send each number before its case, its failure, and None at the end.

    A negative number says that the time was up before that case (counted from 1).
    """
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_LIMIT,) * 2)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for number in numbers:
        if time.monotonic() >= end:
            sender.send(-number - 1)
            return
        sender.send(number)
        # Unlike an alarm it also ends a call into compiled code.
        signal.setitimer(signal.ITIMER_PROF, TIME_LIMIT)
        failure, path = run_case(target, folder, seed, number)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if failure is not None:
            if keep is not None and path is not None:
                kept = keep / f"{target.name}-{seed}-{number}"
                kept.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, kept / path.name)
            sender.send(failure)
    sender.send(None)
