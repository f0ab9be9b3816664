"""Shards, their index, and packed datasets, damaged."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from vlpt_d2.data.memmap_dicts import MemmapDicts, MemmapError, MemmapWriter
from vlpt_d2.data.shards import open_shards, write_shards
from vlpt_d2.data.shards.archive import ShardError

from .damage import damage_text_or_bytes
from .fuzzing import Silence, Target
from .sharding import image_folder


class Shards:
    """Six images in two shards, of which the index or one shard is damaged."""

    def __init__(self, file: str, source: str):
        self.file, self.source = file, source

    def prepare(self, folder: Path) -> None:
        write_shards(image_folder(folder / "photos", 6), folder / "out", "toy", per_shard=3)
        self.content = (folder / "out" / self.file).read_bytes()
        self.whole = list(open_shards(str(folder / "out")))

    def damage(self, folder: Path, rng: random.Random) -> Path:
        path = folder / "out" / self.file
        suffix = path.suffix if path.suffix == ".json" else ".mat"  # of which any byte may change
        path.write_bytes(damage_text_or_bytes(self.content, suffix, rng))
        return path

    def read(self, folder: Path) -> None:
        read = list(open_shards(self.source.format(folder=folder / "out")))
        if read != self.whole:
            raise Silence("other samples than were written are read, and nothing is said")


class Packed:
    """Six images in memory-mapped files, of which one, or their description, is damaged."""

    def prepare(self, folder: Path) -> None:
        with MemmapWriter(folder / "index") as writer:
            for number in range(6):
                ring = np.array([[1.0, 2], [9, 2], [9, 8 + number]])
                rings, words = [ring] * (number % 3), ["Joy", "中文"][: number % 3]
                writer.add(f"{number}.png", number, (20, 30), rings, words, [False] * len(words))
            writer.finish({"report": {}})
        self.content = {path: path.read_bytes() for path in sorted(folder.glob("index/*"))}
        self.whole = list(MemmapDicts(folder / "index", folder))

    def damage(self, folder: Path, rng: random.Random) -> Path:
        for path, content in self.content.items():
            path.write_bytes(content)
        # The description is what holds most of the ways to be wrong.
        meta = folder / "index/meta.json"
        path = rng.choice([meta, rng.choice(list(self.content))])
        path.write_bytes(damage_text_or_bytes(self.content[path], path.suffix, rng))
        return path

    def read(self, folder: Path) -> None:
        if list(MemmapDicts(folder / "index", folder)) != self.whole:
            raise Silence("other dicts than were written are read, and nothing is said")


_PACKED = Packed()


def _target(kind: str, file: str, source: str, count: int) -> Target:
    case = Shards(file, source)
    return Target(f"shards-{kind}", case.prepare, case.damage, case.read, (ShardError,), count)


TARGETS = [
    _target("index", "shards.json", "{folder}", 1000),
    _target("tar", "toy-000001.tar", "{folder}", 1000),
    _target("pipe", "toy-000001.tar", "pipe:cat {folder}/{{}}", 100),
    Target("shards-packed", _PACKED.prepare, _PACKED.damage, _PACKED.read, (MemmapError,), 1000),
]
