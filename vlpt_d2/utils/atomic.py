"""Files that appear whole or not at all, whenever the process or the machine stops."""

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["replacing", "write_json", "write_text"]


class _Part(io.FileIO):
    """The file while it is written; its errors name the path that it will have."""

    def __init__(self, path: Path):
        try:
            super().__init__(f"{path}.part", "wb")
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None
        self.path = path
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = OSError(error.errno, error.strerror, str(self.path))
            raise self.error from None


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of ``path`` once everything is written and on the disk.

    If anything fails, ``path`` stays as it was and nothing is left of the new file.

    Args:
        path: the file; ``<path>.part`` is used on the way.

    Raises:
        OSError: it cannot be written, with ``path`` as its file name.
    """
    path = Path(path)
    part = _Part(path)
    try:
        with io.BufferedWriter(part) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        try:
            os.replace(part.name, path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None
        _sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(part.name)
        # Whoever was given the file may have turned its error into another one.
        if part.error is not None and isinstance(error, Exception):
            raise part.error from None
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write a text in UTF-8, in place of what was there.

    Args:
        path: see :func:`replacing`.
        text: its new content.
    """
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: str | Path, data: Any, indent: int | None = None) -> None:
    """Write plain data as JSON, in place of what was there.

    Args:
        path: see :func:`replacing`.
        data: what JSON can hold.
        indent: of nested values; None: all on one line.
    """
    write_text(path, json.dumps(data, indent=indent))


def _sync_folder(folder: Path) -> None:
    """Put a folder's new names on the disk, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
