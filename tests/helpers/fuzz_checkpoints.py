"""Weight files of every format, damaged."""

from __future__ import annotations

import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from vlpt_d2.checkpoint import CheckpointError, read_checkpoint

from .damage import damage
from .fuzzing import Silence, Target

_TRUNK = {"depth": 18, "norm": "BN", "pixel_mean": [1.0, 2.0, 3.0]}
_WEIGHTS = {f"stem.conv{i}.weight": torch.arange(12.0).reshape(3, 4) for i in range(3)}
_CONTENT = {"model": _WEIGHTS, "trunk": _TRUNK, "iteration": 3, "__author__": "vlpt_d2"}


def _save_pickle(path: Path) -> None:
    arrays = {key: value.numpy() for key, value in _WEIGHTS.items()}
    path.write_bytes(pickle.dumps({**_CONTENT, "model": arrays}, 2))


def _save_safetensors(path: Path) -> None:
    save_file(_WEIGHTS, str(path), metadata={"trunk": '{"depth": 18, "norm": "BN"}'})


def _save_legacy(path: Path) -> None:
    torch.save(_CONTENT, path, _use_new_zipfile_serialization=False)


class Weights:
    """A weight file with damage anywhere, or in its pickle alone where that is packed."""

    def __init__(self, name: str, save: Callable[[Path], None]):
        self.name, self.save = name, save

    def prepare(self, folder: Path) -> None:
        path = folder / self.name
        self.save(path)
        self.content = path.read_bytes()
        self.whole = read_checkpoint(str(path))["model"]
        self.entries: dict[str, bytes] = {}
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                self.entries = {name: archive.read(name) for name in archive.namelist()}

    def damage(self, folder: Path, rng: random.Random) -> Path:
        path = folder / self.name
        self.inside = bool(self.entries) and rng.random() < 0.5
        if not self.inside:
            path.write_bytes(damage(self.content, rng))
            return path
        # With right checksums, as whoever means harm would write it.
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in self.entries.items():
                whole = not name.endswith("/data.pkl")
                archive.writestr(name, content if whole else damage(content, rng))
        return path

    def read(self, folder: Path) -> None:
        read = read_checkpoint(str(folder / self.name))["model"]
        for tensor in read.values():
            np.asarray(tensor).sum()
        # Only these formats have checksums.
        if self.entries and not self.inside:
            equal = read.keys() == self.whole.keys() and all(
                torch.equal(read[key], self.whole[key]) for key in read
            )
            if not equal:
                raise Silence("other weights than were saved are read, and nothing is said")


def _target(kind: str, name: str, save: Callable[[Path], None], count: int) -> Target:
    case = Weights(name, save)
    name = f"checkpoints-{kind}"
    return Target(name, case.prepare, case.damage, case.read, (CheckpointError,), count)


TARGETS = [
    _target("pth", "weights.pth", lambda path: torch.save(_CONTENT, path), 1500),
    _target("legacy", "weights.pth", _save_legacy, 1500),
    _target("pkl", "weights.pkl", _save_pickle, 1500),
    _target("safetensors", "weights.safetensors", _save_safetensors, 1000),
]
