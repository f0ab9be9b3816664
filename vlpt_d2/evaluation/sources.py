"""Folders and zip archives of small files, read file by file."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from .zip_archive import BROKEN, ZipArchive

__all__ = ["FileError", "Source"]

# No benchmark has a larger file for one image; beyond it is a broken archive or a bomb.
_LARGEST = 64 * 2**20
# Nor are all of its files together larger, unpacked.
_LARGEST_ARCHIVE = 512 * 2**20


class FileError(ValueError):
    """Files that cannot be evaluated; the message names file, line and fix."""


class Source:
    """The files of a folder and the folders in it, or of a zip archive, by their names.

    Hidden files and the copies that macOS adds are left out. Use as a context manager.

    Args:
        path: the folder or archive.

    Attributes:
        names: of the files, without their folders.

    Raises:
        FileError: there is neither, the archive is damaged, or two files have one name.
    """

    def __init__(self, path: str | Path):
        self._path = Path(path)
        self._archive: ZipArchive | None = None
        self._folder: tempfile.TemporaryDirectory | None = None
        self._files: dict[str, str | int | zipfile.ZipInfo] = {}
        if self._path.is_dir():
            for file in sorted(_walk(str(self._path))):
                name = os.path.basename(file)
                if name in self._files:
                    raise FileError(
                        f"{file}: the name is taken by {self._files[name]}. Keep one file for an "
                        "image."
                    )
                self._files[name] = file
        elif self._path.is_file():
            try:
                self._list_archive()
            except BROKEN as error:
                raise self._broken(error) from error
        else:
            raise FileError(f"{path}: no such folder or zip archive. Check the path.")
        self.names = list(self._files)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._archive is not None:
            self._archive.close()
        if self._folder is not None:
            self._folder.cleanup()

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            FileError: it cannot be read.
        """
        entry = self._files[name]
        if isinstance(entry, str):
            try:
                with open(entry, "rb") as file:
                    return file.read()
            except OSError as error:
                raise FileError(f"{entry}: cannot be read ({error}).") from error
        try:
            return cast(ZipArchive, self._archive).read(entry)
        except BROKEN as error:
            raise self._broken(error) from error

    def path(self, name: str) -> Path:
        """A path to read a file at; a member of an archive is unpacked for it."""
        entry = self._files[name]
        if isinstance(entry, str):
            return Path(entry)
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="vlpt_d2_")
        path = Path(self._folder.name) / name
        path.write_bytes(self.read(name))
        return path

    def _list_archive(self) -> None:
        self._archive = ZipArchive(self._path)
        members = list(self._archive.members())
        size = sum(size for _, size, _ in members)
        if size > _LARGEST_ARCHIVE:
            raise FileError(
                f"{self._path}: its files have {size} bytes unpacked, which no benchmark's have. "
                "Pack only the text files."
            )
        for full_name, size, member in members:
            if not full_name:
                raise FileError(f"{self._path}: holds a file without a name. Pack the files again.")
            name = full_name
            if "/" in full_name or "\\" in full_name or full_name.startswith((".", "__")):
                parts = [p for p in full_name.replace("\\", "/").split("/") if p not in ("", ".")]
                if full_name.endswith("/") or not parts or any(map(_is_hidden, parts)):
                    continue
                name = parts[-1]
            if size > _LARGEST:
                raise FileError(
                    f"{self._path}: {name} has {size} bytes, which no file for one image has. Pack "
                    "the files again."
                )
            if name in self._files:
                raise FileError(f"{self._path}: holds {name} twice. Keep one file for an image.")
            self._files[name] = member

    def _broken(self, error: BaseException) -> FileError:
        return FileError(
            f"{self._path}: no sound zip archive ({type(error).__name__}: {error}). Pack it again, "
            "or give the folder."
        )


def _walk(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_hidden(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path)
            elif entry.is_file():
                yield entry.path


def _is_hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"
