"""Folders and zip archives of small text files, as folders."""

from __future__ import annotations

import contextlib
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

__all__ = ["FileError", "list_files", "unpacked"]

# No benchmark has a larger file for one image; beyond it is a broken archive or a bomb.
_LARGEST = 64 * 2**20
# Nor are all of its files together larger, unpacked.
_LARGEST_ARCHIVE = 512 * 2**20


class FileError(ValueError):
    """Files that cannot be evaluated; the message names file, line and remedy."""


@contextlib.contextmanager
def unpacked(path: str | Path) -> Iterator[Path]:
    """Give a folder with the files of a folder or of a zip archive.

    An archive is unpacked, its folders flattened, into a temporary folder for the time being.

    Raises:
        FileError: there is neither, or the archive is damaged or has two files of one name.
    """
    path = Path(path)
    if path.is_dir():
        yield path
        return
    if not path.is_file():
        raise FileError(f"{path}: no such folder or zip archive. Check the path.")
    with tempfile.TemporaryDirectory(prefix="vlpt_d2_") as folder:
        _unpack(path, Path(folder))
        yield Path(folder)


def list_files(folder: Path) -> list[Path]:
    """All files of a folder and the folders in it, sorted; hidden ones and Apple's copies are not.

    Raises:
        FileError: two files in different folders have one name.
    """
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or _is_hidden(path.relative_to(folder).parts):
            continue
        if path.name in files:
            raise FileError(
                f"{path}: the name is taken by {files[path.name]}. Keep one file for an image."
            )
        files[path.name] = path
    return list(files.values())


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > _LARGEST_ARCHIVE:
                raise FileError(
                    f"{path}: its files have {size} bytes unpacked, which no benchmark's have. "
                    "Pack only the text files."
                )
            for member in archive.infolist():
                name = PurePosixPath(member.filename.replace("\\", "/"))
                if not member.filename:
                    raise FileError(f"{path}: holds a file without a name. Pack the files again.")
                if member.is_dir() or not name.name or _is_hidden(name.parts):
                    continue
                if member.file_size > _LARGEST:
                    raise FileError(
                        f"{path}: {name} has {member.file_size} bytes, which no file for one image "
                        "has. Pack the files again."
                    )
                target = folder / name.name
                if target.exists():
                    raise FileError(
                        f"{path}: holds {name.name} twice, in different folders. Keep one file for "
                        "an image."
                    )
                target.write_bytes(archive.read(member))
    # NotImplementedError: an unknown compression; RuntimeError: encrypted.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise FileError(
            f"{path}: no sound zip archive ({type(error).__name__}: {error}). Pack it again, or "
            "give the folder."
        ) from error


def _is_hidden(parts: tuple[str, ...]) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)
