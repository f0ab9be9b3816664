"""Unpacking the archives that datasets are published as into the trees that readers expect."""

from __future__ import annotations

import bz2
import errno
import filecmp
import gzip
import hashlib
import json
import lzma
import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

from ...utils.atomic import write_json
from ...utils.checksums import file_crc
from .builtin import DATASETS
from .dataset import Archive

__all__ = ["ArchiveError", "prepare_dataset"]

#: In the dataset's folder: which archives are unpacked.
STATE = "prepared.json"
#: What an archive may unpack to: as many times its own size, or as many bytes, whatever is more.
#: Images hardly shrink in an archive, and text shrinks to a tenth.
LARGEST_RATIO, LARGEST_SMALL = 100, 2**28
_CHUNK = 1 << 20


class ArchiveError(RuntimeError):
    """An archive that cannot be used; the message names it and how to fix it."""


def prepare_dataset(
    dataset: str,
    archives: str | Path,
    root: str | Path,
    *,
    check: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[dict[str, int], list[str]]:
    """Unpack the archives of a dataset that are there; those unpacked before are left alone.

    An interrupted run resumes: files that are there with the same content are not written again,
    and no file is ever there in part. An archive is recorded as unpacked after all of it was read,
    to its last checksum.

    Args:
        dataset: a name of :data:`~.dataset.DATASETS` that has archives.
        archives: the folder they were downloaded to.
        root: the folder of all datasets.
        check: whether to compare checksums.
        progress: called with an archive's name, the bytes of it that are done, and its size.

    Returns:
        Archive -> files it gave, of those that are there; and the names of those that are not.

    Raises:
        KeyError: no such dataset.
        FileNotFoundError: none of the archives is there.
        ArchiveError: an archive is damaged, encrypted or packed by an unknown method, has another
            checksum, unpacks to far more than it is, holds nothing of use, or two different files
            for one place.
        OSError: a file cannot be written.
    """
    target, archives = Path(root) / dataset, Path(archives)
    found, missing = [], []
    for archive in DATASETS[dataset].archives:
        paths = [archives / name for name in (archive.name, *archive.other_names)]
        path = next((p for p in paths if p.is_file()), None)
        found += [(archive, path)] if path else []
        missing += [] if path else [archive.name]
    if not found:
        raise FileNotFoundError(
            f"{archives}: none of the archives of {dataset} is there: {', '.join(missing)}. "
            "datasets/README.md lists where to get them"
        )
    target.mkdir(parents=True, exist_ok=True)
    state_file = target / STATE
    state = _read_state(state_file)
    for archive, path in found:
        size = path.stat().st_size
        if state.get(archive.name, {}).get("bytes") == size:
            continue
        if check and archive.checksums:
            _compare(path, archive)
        for count, done in _unpack(path, archive, target):
            files = count
            if progress is not None:
                progress(archive.name, done, size)
        state[archive.name] = {"bytes": size, "files": files}
        write_json(state_file, state)
    return {archive.name: state[archive.name]["files"] for archive, _ in found}, missing


def _compare(path: Path, archive: Archive) -> None:
    for checksum in archive.checksums:
        algorithm = "md5" if len(checksum) == 32 else "sha256"
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, algorithm).hexdigest()
        if digest == checksum:
            return
    raise ArchiveError(
        f"{path}: its {algorithm} is {digest}, not {checksum}. Download it again; where it was "
        "released again, --no-checksum accepts it"
    )


def _read_state(path: Path) -> dict[str, dict[str, int]]:
    """What is unpacked. Where that cannot be read, or is no such record, it is determined again."""
    try:
        state = json.loads(path.read_text("utf-8"))
        return {
            str(name): {key: int(entry[key]) for key in ("bytes", "files")}
            for name, entry in state.items()
        }
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _unpack(path: Path, archive: Archive, target: Path) -> Iterator[tuple[int, int]]:
    """Write the members that rules place; yield after each how many there are, and bytes done."""
    rules = [
        (re.compile(rf"(?:^|/){pattern}\Z", re.IGNORECASE), place)
        for pattern, place in archive.rules
    ]
    left = max(LARGEST_RATIO * path.stat().st_size, LARGEST_SMALL)
    names: dict[str, str] = {}  # place -> the member that went there
    try:
        for member in _members(path):
            left -= member.size
            if left < 0:
                raise ArchiveError(
                    f"{path}: unpacks to more than {LARGEST_RATIO} times its size, so it is no "
                    "archive of images. Download it again"
                )
            place = _place(member.name, rules)
            if place is not None:
                if member.fault:
                    raise ArchiveError(f"{path}, {member.name[-80:]!r}: {member.fault}")
                _write(path, member, target / place, names.get(place))
                names[place] = member.name
            elif member.crc is not None:
                # Compares the name, which may be damaged, with the one that zip files repeat.
                member.open().close()
            yield len(names), member.done
    except ArchiveError:
        raise
    except NotImplementedError as error:
        raise ArchiveError(f"{path}: {error}. Unpack it by hand") from error
    except Exception as error:
        # What is damaged can fail in any way. Only errors of the system have a number, and places
        # before a file's start are the archive's fault.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise OSError(error.errno, error.strerror, error.filename or str(target)) from error
        reason = str(error) or type(error).__name__
        raise ArchiveError(f"{path}: is damaged ({reason}). Download it again") from error
    if not names:
        raise ArchiveError(
            f"{path}: holds none of the files that {archive.name} is known for. Is it another "
            "dataset's? Else unpack it by hand, as datasets/README.md shows the tree"
        )


def _place(name: str, rules: Sequence[tuple[re.Pattern[str], str]]) -> str | None:
    base = name.rpartition("/")[2]
    if base.startswith(".") or "__MACOSX" in name.split("/"):
        return None
    for pattern, place in rules:
        if match := pattern.search(name):
            return match.expand(place)
    return None


@dataclass(frozen=True)
class _Member:
    """A file in an archive.

    Attributes:
        name: its path in the archive.
        size: its bytes.
        done: bytes of the archive up to its end.
        open: opens it for reading; members of tar files in their order only.
        fault: why it cannot be unpacked.
        crc: its CRC-32, where the archive has one for each file.
    """

    name: str
    size: int
    done: int
    open: Callable[[], BinaryIO]
    fault: str = ""
    crc: int | None = None


def _members(path: Path) -> Iterator[_Member]:
    """Every file in an archive; at the end the archive is known to be whole."""
    if path.suffix == ".json":
        size = path.stat().st_size
        with path.open("rb") as file:
            json.load(file, parse_int=float)  # of any length
        yield _Member(path.name, size, size, lambda: path.open("rb"))
    elif path.suffix == ".zip" or zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename and not info.filename.endswith("/"):
                    yield _zip_member(archive, info)
    else:
        yield from _tar_members(path)


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    name = info.filename.replace("\\", "/")
    encrypted = "is encrypted. Unpack it by hand" if info.flag_bits & 1 else ""
    return _Member(
        name,
        info.file_size,
        info.header_offset + info.compress_size,
        lambda: cast(BinaryIO, archive.open(info)),
        encrypted or _name_fault(name),
        info.CRC,
    )


def _name_fault(name: str) -> str:
    if any(ord(character) < 32 for character in name):
        return "its name has control characters. Download the archive again"
    if len(os.fsencode(name.rpartition("/")[2])) > 250:
        return "its name is too long. Download the archive again"
    return ""


class _StrictInfo(tarfile.TarInfo):
    """A header that has to be one: tarfile takes a damaged one for the archive's end."""

    @classmethod
    def frombuf(cls, *arguments: Any) -> Self:
        header = super().frombuf(*arguments)
        # Long names and the like, which are read into memory.
        if not (header.isfile() or header.isdir()) and header.size > _CHUNK:
            raise tarfile.HeaderError(f"a header of {header.size} bytes")
        return header

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined] # not in the stubs
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> BinaryIO:
    return cast(BinaryIO, archive.extractfile(member))


def _tar_members(path: Path) -> Iterator[_Member]:
    with open(path, "rb") as file:
        start = file.read(6)
        file.seek(0)
        openers: dict[bytes, Any] = {
            b"\x1f\x8b": gzip.open,
            b"BZh": bz2.open,
            b"\xfd7zXZ\x00": lzma.open,
        }
        opener = next((o for magic, o in openers.items() if start.startswith(magic)), None)
        content: Any = opener(file, "rb") if opener else file
        with tarfile.open(fileobj=content, mode="r|", tarinfo=_StrictInfo) as archive:
            for member in archive:
                if member.isdir():
                    continue
                special = "" if member.isfile() else "is a link or a device. Unpack it by hand"
                yield _Member(
                    member.name,
                    member.size,
                    file.tell(),
                    partial(_content, archive, member),
                    special or _name_fault(member.name),
                )
            # Only zeros follow, and then the checksum of the compressed file, which is compared
            # where its end is reached.
            while rest := archive.fileobj.read(_CHUNK):
                if rest.strip(b"\0"):
                    raise tarfile.ReadError("data after its end")
        while content.read(_CHUNK):
            pass


def _write(archive: Path, member: _Member, path: Path, other: str | None) -> None:
    """Write a member in one step, unless it is there.

    Args:
        archive: for messages.
        member: what to write.
        path: where it goes.
        other: the member of the same archive that went there before.
    """
    if (
        member.crc is not None
        and path.is_file()
        and path.stat().st_size == member.size
        and file_crc(path) == member.crc
    ):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with suppress(FileNotFoundError):
        part.unlink()  # or a link to elsewhere would be written through
    try:
        with open(part, "xb") as target, member.open() as source:
            while chunk := source.read(_CHUNK):
                target.write(chunk)
        if part.stat().st_size != member.size:
            raise tarfile.ReadError(f"{member.name!r} is cut off")
        if path.is_file() and filecmp.cmp(part, path, shallow=False):
            return
        if other is not None:
            raise ArchiveError(
                f"{archive}: {other!r} and {member.name!r} are different files of one name, which "
                "would go to one place. Unpack it by hand, as datasets/README.md shows the tree"
            )
        os.replace(part, path)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
