"""Samples in a tar file: the files of a sample follow each other and share a name.

WebDataset's convention (github.com/webdataset/webdataset): the name up to the first dot of a
file's base name is the sample's key, what follows is the kind. A sample here is an image and
``.json``, its dataset dict, which ends with the CRC-32 of image and dict.
"""

from __future__ import annotations

import errno
import io
import json
import re
import shlex
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Literal, cast

import numpy as np
from detectron2.utils.file_io import PathManager

__all__ = ["PIPE", "ShardError", "add_sample", "open_stream", "read_samples", "sample_name"]

#: What a source starts with whose bytes a command writes to its standard output.
PIPE = "pipe:"

_CRC = re.compile(rb', "crc32": "([0-9a-f]{8})"\}\Z')


class ShardError(RuntimeError):
    """A shard that cannot be read; the message names it and how to fix it."""


@contextmanager
def open_stream(url: str) -> Iterator[IO[bytes]]:
    """Open a file for reading, wherever it is.

    Args:
        url: a path, a URL that iopath opens, or ``pipe:`` and a command that writes the file to
            its standard output. The command is run without a shell.

    Raises:
        ShardError: the command cannot be started, or ends with another status than 0.
        OSError: the file cannot be opened.
    """
    if not url.startswith(PIPE):
        with PathManager.open(url, "rb") as file:
            yield file
        return
    try:
        process = subprocess.Popen(shlex.split(url[len(PIPE) :]), stdout=subprocess.PIPE)
    except (OSError, ValueError) as error:
        raise ShardError(f"{url}: the command cannot be started ({error}).") from error
    output = cast(IO[bytes], process.stdout)
    try:
        try:
            yield output
        except Exception as error:
            # A command that failed wrote nothing, or half: that is the reason to name.
            _drain(output)
            if status := process.wait():
                raise ShardError(f"{url}: the command ended with status {status}.") from error
            raise
        _drain(output)
        if status := process.wait():
            raise ShardError(f"{url}: the command ended with status {status}.")
    finally:
        output.close()
        if process.poll() is None:
            process.kill()
            process.wait()


def _drain(stream: IO[bytes]) -> None:
    """Read on to the end, else the command waits for ever, or fails, to write the rest."""
    while stream.read(1 << 20):
        pass


def read_samples(url: str, skip: int = 0, first: int = 0) -> Iterator[dict[str, Any]]:
    """Read the samples of a shard in their order.

    Args:
        url: see :func:`open_stream`. The tar file may be compressed.
        skip: samples to leave out at the start.
        first: the number, in the dataset, that names the shard's first sample; the others follow.

    Yields:
        Dataset dicts whose ``"image_bytes"`` are the image's file; ``file_name`` only names it.

    Raises:
        ShardError: the shard is damaged or another one, or a sample is not an image with a
            ``.json``.
        OSError: the shard cannot be opened.
    """
    try:
        with open_stream(url) as stream:
            # Files that can be searched are not read where samples are skipped.
            mode: Literal["r:*", "r|*"] = "r:*" if stream.seekable() else "r|*"
            with tarfile.open(fileobj=stream, mode=mode) as archive:
                for number, (key, files) in enumerate(_groups(archive, skip), skip):
                    if key != sample_name(first + number):
                        raise ShardError(
                            f"{url}: has sample {key!r} in place of {sample_name(first + number)}: "
                            "it is another shard under this name. Copy it again."
                        )
                    yield _dataset_dict(url, key, files)
    except ShardError:
        raise
    except Exception as error:
        # What is damaged can fail in any way. Only errors of the system have a number, and places
        # before a file's start are the shard's fault.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise ShardError(
            f"{url}: is not a complete tar file ({error or type(error).__name__}). Write or copy "
            "it again."
        ) from error


def sample_name(number: int) -> str:
    """Name the sample that has a number, from 0, in a dataset."""
    return f"{number:09d}"


def add_sample(
    archive: tarfile.TarFile, key: str, record: dict[str, Any], image: bytes, suffix: str
) -> None:
    """Append a sample; equal samples make equal bytes.

    Args:
        archive: open for writing.
        key: the sample's name, without a dot.
        record: its dataset dict.
        image: the image's file.
        suffix: the image's kind, such as ".jpg".
    """
    content = json.dumps(record, ensure_ascii=False, default=_plain).encode("utf-8")
    content = content[:-1] + b', "crc32": "%08x"}' % _crc(image, content)
    for name, data in ((key + suffix, image), (f"{key}.json", content)):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))


def _groups(archive: tarfile.TarFile, skip: int) -> Iterator[tuple[str, dict[str, bytes]]]:
    number, key = -1, ""
    files: dict[str, bytes] | None = None
    for member in archive:
        folder, slash, base = member.name.rpartition("/")
        if not member.isfile() or base.startswith((".", "__")):
            continue
        stem, _, kind = base.partition(".")
        name = folder + slash + stem
        if files is None or name != key:
            if files:
                yield key, files
            number, key, files = number + 1, name, {}
        if number >= skip:
            content = cast(IO[bytes], archive.extractfile(member))  # None of what is no file
            files[kind.lower()] = content.read()
    if files:
        yield key, files


def _dataset_dict(url: str, key: str, files: dict[str, bytes]) -> dict[str, Any]:
    try:
        content = files.pop("json")
        (image,) = files.values()
        record = json.loads(content)
        name = record["file_name"]
        if not isinstance(name, str) or re.search(r"[/\\\x00-\x1f]|^\.*$", name):
            raise ValueError(f"file_name {name!r}")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ShardError(
            f"{url}, sample {key}: is not an image with the .json of its dataset dict ({error!r}). "
            "Write the shards again with 'vlpt-d2 data shard'."
        ) from error
    found = _CRC.search(content)
    if not found or _crc(image, content[: found.start()] + b"}") != int(found[1], 16):
        raise ShardError(
            f"{url}, sample {key}: is damaged, its checksum is another. Copy the shard "
            "again, or delete it and write it again."
        )
    del record["crc32"]
    record["file_name"] = f"{url.rpartition('/')[2]}/{name}"
    return {**record, "image_bytes": image}


def _crc(image: bytes, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(image))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
