"""Where images come from and rows go to, and how the images are divided."""

from __future__ import annotations

import hashlib
import os
from pathlib import PurePosixPath
from typing import TypedDict

from pyarrow import fs

from ..data.image_io import IMAGE_SUFFIXES
from ..utils.atomic import replacing

__all__ = [
    "Shard",
    "is_image",
    "is_tar",
    "list_shards",
    "open_place",
    "open_source",
    "shard_name",
    "write_whole",
]


class Shard(TypedDict):
    """Its number, and the names of its files below the source."""

    number: int
    files: list[str]


def list_shards(source: str, per_shard: int = 1000) -> tuple[list[Shard], str]:
    """Divide the images and tar files below a source, in the order of their names.

    Args:
        source: a folder, a file, or a URI that ``pyarrow.fs`` opens, such as "s3://bucket/prefix".
            Hidden files are left out.
        per_shard: images of a shard; a tar file is a shard.

    Returns:
        The shards, and the SHA-256 of all names and sizes.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: it has neither images nor tar files.
    """
    files, folder, path = open_source(source)
    listed = [files.get_file_info(path)]
    if listed[0].type == fs.FileType.NotFound:
        raise FileNotFoundError(f"{source}: no such file or folder")
    if listed[0].type == fs.FileType.Directory:
        listed = files.get_file_info(fs.FileSelector(path, recursive=True))
    digest = hashlib.sha256()
    images: list[str] = []
    groups: list[list[str]] = []
    for info in sorted(listed, key=lambda info: info.path):
        name = info.path[len(folder) :].lstrip("/")
        hidden = any(part.startswith(".") for part in name.split("/"))
        if hidden or info.type != fs.FileType.File or not (is_tar(name) or is_image(name)):
            continue
        digest.update(f"{name}\0{info.size}\n".encode())
        if is_tar(name):
            groups.append([name])
        else:
            images.append(name)
    groups += [images[i : i + per_shard] for i in range(0, len(images), per_shard)]
    if not groups:
        raise ValueError(f"{source}: there is no image and no tar file")
    return [Shard(number=i, files=names) for i, names in enumerate(groups)], digest.hexdigest()


def open_source(source: str) -> tuple[fs.FileSystem, str, str]:
    """A file system, and in it the folder below which names are given, and the source."""
    files, path = open_place(source)
    is_file = files.get_file_info(path).type == fs.FileType.File
    return files, os.path.dirname(path) if is_file else path, path


def open_place(place: str) -> tuple[fs.FileSystem, str]:
    """A file system, and a path in it."""
    if "://" in place:
        return fs.FileSystem.from_uri(place.rstrip("/"))
    return fs.LocalFileSystem(), os.path.abspath(place)


def write_whole(files: fs.FileSystem, path: str, content: bytes | memoryview) -> None:
    """Write a file that appears when it is whole, as in an object store every one does."""
    if isinstance(files, fs.LocalFileSystem):
        with replacing(path) as file:
            file.write(content)
    else:
        with files.open_output_stream(path) as stream:
            stream.write(content)


def shard_name(shard: Shard) -> str:
    """The name of a shard's file of rows."""
    return f"part-{shard['number']:06d}.parquet"


def is_tar(name: str) -> bool:
    """Whether a name is a tar file's."""
    return name.lower().endswith((".tar", ".tar.gz", ".tgz"))


def is_image(name: str) -> bool:
    """Whether a name is an image file's."""
    path = PurePosixPath(name)
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
