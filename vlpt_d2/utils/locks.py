"""One process at a time in a folder that is written to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["FolderInUseError", "lock_folder"]


class FolderInUseError(RuntimeError):
    """Another process writes to the folder; the message names both and how to fix it."""


@contextmanager
def lock_folder(folder: str | Path, name: str = ".lock") -> Iterator[None]:
    """Hold a folder against other processes; the same process may hold it several times.

    The system releases the lock when the process ends, however that happens. Children do not
    inherit it. The file stays: removing it would let two processes hold two files of one name.

    Args:
        folder: made if it is not there.
        name: of the lock's file in it.

    Raises:
        FolderInUseError: another process holds the lock.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    path = Path(folder).resolve() / name
    lock = FileLock(path, blocking=False, thread_local=False, is_singleton=True)
    try:
        held = lock.acquire()
    except Timeout:
        raise FolderInUseError(
            f"another process writes to {folder} (it holds {path}): wait for its end, stop it, or "
            "choose another folder"
        ) from None
    with held:
        yield
