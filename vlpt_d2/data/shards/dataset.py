"""Shards as a registered dataset."""

from __future__ import annotations

import bisect
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.structures import BoxMode

from ...utils.checksums import json_checksum
from ..lazy import LazyDicts
from .archive import PIPE, ShardError, open_stream, read_samples

__all__ = [
    "INDEX",
    "VERSION",
    "Shard",
    "ShardedDicts",
    "check_name",
    "open_shards",
    "read_index",
    "register_shards",
    "register_shards_from_config",
]

#: The file next to the shards that lists them and their contents.
INDEX = "shards.json"
#: Of the index.
VERSION = 2


@dataclass(frozen=True)
class Shard:
    """A tar file.

    Attributes:
        url: see :func:`~.archive.open_stream`.
        size: its samples.
        places: those that are used, ascending.
        unusable: places of images that have nothing to learn from.
        first: number of its first sample in the dataset.
    """

    url: str
    size: int
    places: tuple[int, ...] | range
    unusable: frozenset[int] = frozenset()
    first: int = 0


class ShardedDicts(LazyDicts):
    """The dataset dicts in shards, each with its image in ``"image_bytes"``.

    Reading on from the last image is cheap, a step back opens a shard again. Training goes
    through :class:`~.streams.ShardStreams`, which reads every shard from its start to its end.

    Args:
        shards: the shards.
        annotated: whether there is ground truth.
    """

    def __init__(self, shards: Sequence[Shard], annotated: bool = True):
        self.shards = list(shards)
        self.annotated = annotated
        self._ends = list(itertools.accumulate(len(shard.places) for shard in self.shards))
        self._cursor = _Cursor()

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getstate__(self) -> dict[str, Any]:
        # An open file belongs to its process.
        return {**self.__dict__, "_cursor": _Cursor()}

    @property
    def sizes(self) -> np.ndarray:
        """(shards,) int64: the images that are used of each."""
        return np.array([len(shard.places) for shard in self.shards], np.int64)

    def item(self, index: int) -> dict[str, Any]:
        """See :meth:`LazyDicts.item`.

        Raises:
            ShardError: the shard is damaged, or shorter than in its index.
        """
        number = bisect.bisect_right(self._ends, index)
        shard = self.shards[number]
        place = shard.places[index - (self._ends[number - 1] if number else 0)]
        record = self._cursor.read(shard, number, place)
        for annotation in record.get("annotations", ()):
            if "bbox_mode" in annotation:  # words may have no place
                annotation["bbox_mode"] = BoxMode(annotation["bbox_mode"])
        return record

    def has_trainable_text(self) -> np.ndarray:
        """See :meth:`LazyDicts.has_trainable_text`."""
        flags = (place not in shard.unusable for shard in self.shards for place in shard.places)
        return np.fromiter(flags, bool, len(self))

    def select(self, indices: np.ndarray) -> ShardedDicts:
        """The images at ascending indices, in shards still."""
        parts = np.split(np.asarray(indices), np.searchsorted(indices, self._ends[:-1]))
        shards = []
        for shard, start, part in zip(self.shards, [0, *self._ends], parts):
            places = tuple(shard.places[int(i) - start] for i in part)
            shards.append(replace(shard, places=places))
        return ShardedDicts(shards, self.annotated)

    @classmethod
    def joined(cls, parts: Iterable[ShardedDicts]) -> ShardedDicts:
        """Several datasets as one."""
        parts = list(parts)
        shards = [shard for part in parts for shard in part.shards]
        return cls(shards, all(part.annotated for part in parts))


class _Cursor:
    """Goes through one shard at a time, in the process that uses it."""

    def __init__(self) -> None:
        self._samples: Iterator[dict[str, Any]] = iter(())
        self._at: tuple[int, int, int] | None = None  # process, shard, next place

    def read(self, shard: Shard, number: int, place: int) -> dict[str, Any]:
        if self._at is None or self._at[:2] != (os.getpid(), number) or self._at[2] > place:
            self._samples = read_samples(shard.url, place, shard.first)
            self._at = (os.getpid(), number, place)
        try:
            # The last sample needed ends the loop, not the shard.
            for _ in range(place - self._at[2]):
                next(self._samples)
            record = next(self._samples)
        except StopIteration:
            self._at = None
            raise ShardError(
                f"{shard.url}: ends before sample {place + 1} of {shard.size}. Write or copy it "
                "again."
            ) from None
        except BaseException:
            self._at = None
            raise
        self._at = (os.getpid(), number, place + 1)
        return record


def check_name(name: Any) -> str:
    """Return a shard's file name, which is given to commands and added to folders.

    Raises:
        ValueError: it has other characters than letters, digits and ``._+=@,-``, or starts with
            one of those.
    """
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.+=@,-]*", name):
        raise ValueError(
            f"{str(name)[:80]!r} is not a name for a shard: it starts with a letter, a digit or _ "
            "and has only these and .+=@,-"
        )
    return name


def read_index(url: str) -> dict[str, Any]:
    """Read an index from wherever :func:`~.archive.open_stream` opens, and compare its checksum.

    Raises:
        ShardError: it is not an index, is damaged or of another version.
        OSError: it cannot be opened.
    """
    with open_stream(url) as stream:
        content = stream.read()
    try:
        index = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ShardError(f"{url}: is not an index of shards ({error}).") from error
    version = index.get("version") if isinstance(index, dict) else None
    if version != VERSION:
        raise ShardError(f"{url}: is not an index of version {VERSION}. Write the shards again.")
    if index.get("checksum") != json_checksum(index):
        raise ShardError(
            f"{url}: is damaged or edited, its checksum is another. Copy it or write the shards "
            "again."
        )
    try:
        # They are given to commands. Everything else is as it was written.
        for entry in index["shards"]:
            check_name(entry["file"])
    except (KeyError, TypeError, ValueError) as error:
        raise ShardError(f"{url}: is damaged ({error!r}). Write the shards again.") from error
    return index


def open_shards(source: str) -> ShardedDicts:
    """Open shards that :func:`~.write.write_shards` wrote; only their index is read.

    Args:
        source: their folder, as a path or a URL that iopath opens; or ``pipe:`` and a command
            that writes a file to its standard output, with ``{}`` in place of the file's name,
            which is always part of one argument, see :func:`check_name`.

    Raises:
        FileNotFoundError: there is no index.
        ShardError: the index cannot be read, is damaged, or is of another version.
        ValueError: a ``pipe:`` without ``{}``.
    """
    if source.startswith(PIPE) and "{}" not in source:
        raise ValueError(f"{source}: has no {{}} for the names of shards.json and the shards")
    template = source if source.startswith(PIPE) else f"{source.rstrip('/')}/{{}}"
    url = template.replace("{}", INDEX)
    try:
        index = read_index(url)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{url}: no such file. Shards are written by: vlpt-d2 data shard NAME FOLDER"
        ) from error
    ends = itertools.accumulate(entry["images"] for entry in index["shards"])
    shards = [
        Shard(
            template.replace("{}", entry["file"]),
            entry["images"],
            range(entry["images"]),
            frozenset(entry["unusable"]),
            end - entry["images"],
        )
        for entry, end in zip(index["shards"], ends)
    ]
    return ShardedDicts(shards, index["annotated"])


def register_shards(name: str, source: str, evaluator_type: str = "icdar2015") -> None:
    """Register shards as a dataset, replacing shards of the same name.

    Their index is read when it is first used.

    Args:
        name: the name for ``cfg.DATASETS.TRAIN`` and ``TEST``.
        source: see :func:`open_shards`.
        evaluator_type: the protocol that measures it.
    """
    from ..datasets.dataset import register_text_dataset

    register_text_dataset(name, lambda: open_shards(source), evaluator_type, source, "shards")


def register_shards_from_config(cfg: CfgNode) -> None:
    """Register what ``cfg.DATASETS.SHARDS`` lists, as ``NAME=SOURCE``.

    Raises:
        ValueError: an entry is not of that form, or its name belongs to another dataset.
    """
    for entry in cfg.DATASETS.SHARDS:
        name, equals, source = entry.partition("=")
        if not (name and equals and source):
            raise ValueError(f"DATASETS.SHARDS has {entry!r}; an entry is NAME=SOURCE")
        register_shards(name, source)
