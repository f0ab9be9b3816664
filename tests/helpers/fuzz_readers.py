"""Ground truth of every dataset and format, damaged."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import shapely

from vlpt_d2.data.datasets.builtin import DATASETS
from vlpt_d2.data.datasets.dataset import read_split
from vlpt_d2.data.datasets.formats import read_folder
from vlpt_d2.data.datasets.ground_truth import GroundTruthError
from vlpt_d2.data.datasets.report import ReadReport
from vlpt_d2.data.sample import CorruptImageError

from .damage import damage_text_or_bytes
from .fuzzing import Silence, Target
from .miniatures import MINIATURES, OWN, WITHOUT_GROUND_TRUTH

ERRORS = (GroundTruthError, CorruptImageError, FileNotFoundError)
_IMAGES = {".jpg", ".jpeg", ".png", ".gif"}


class Reading:
    """A tree of two images of which one ground truth file is damaged, and what reads it."""

    def __init__(self, write: Callable[[Path], None], read: Callable[[Path], tuple]):
        self.write, self.read_tree = write, read

    def prepare(self, folder: Path) -> None:
        self.write(folder)
        files = (p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() not in _IMAGES)
        self.path = min(files)
        self.content = self.path.read_bytes()
        dicts, report = self.read_tree(folder)
        self.words, self.counted = report.words, _counts(report)
        self.images = len(dicts)

    def damage(self, folder: Path, rng: random.Random) -> Path:
        self.path.write_bytes(damage_text_or_bytes(self.content, self.path.suffix, rng))
        return self.path

    def read(self, folder: Path) -> None:
        dicts, report = self.read_tree(folder)
        check(dicts)
        if report.words != sum(len(d["annotations"]) for d in dicts):
            raise Silence("the report counts other words than there are")
        # More of a kind than before: a repair may be gone with its word.
        more = (_counts(report) - self.counted).total()
        lost = self.words - report.words - more
        # What is gone from the file is not lost by the reader.
        units = {".json": _objects, ".mat": lambda content: 0}.get(self.path.suffix, _lines)
        lost -= max(0, units(self.content) - units(self.path.read_bytes()))
        if lost > 0:
            raise Silence(f"{lost} words are lost and nothing is counted: {report}")
        if len(dicts) < self.images and not more:
            raise Silence(f"{self.images - len(dicts)} images are lost and nothing is counted")


def check(dicts: list[dict]) -> None:
    """Whether dataset dicts are as the rest of the product takes them for granted."""
    for record in dicts:
        for annotation in record["annotations"]:
            shape = shapely.Polygon(np.reshape(annotation["segmentation"][0], (-1, 2)))
            assert shape.is_valid and shape.area > 0
            assert isinstance(annotation["text"], str) and annotation["iscrowd"] in (0, 1)
            annotation["text"].encode()  # no lone surrogates


def _counts(report: ReadReport) -> Counter[str]:
    return report.repaired + report.dropped + report.notes


def _lines(content: bytes) -> int:
    """Lines that are not blank, as any reader of text would count them."""
    text = content.decode("latin-1").replace("\r\n", "\n").replace("\r", "\n")
    return sum(bool(line.strip("\0\ufeff \t")) for line in text.split("\n"))


def _objects(content: bytes) -> int:
    return content.count(b"{")


def _read_own(name: str, root: Path) -> tuple:
    form, labels, _ = OWN[name]
    return read_folder(form, root / "images", root / labels, "own")


def _target(name: str, write: Callable, read: Callable, count: int) -> Target:
    case = Reading(write, read)
    return Target(name, case.prepare, case.damage, case.read, ERRORS, count)


BENCHMARK_NAMES = sorted(
    f"{name}_{split}"
    for name, dataset in DATASETS.items()
    for split in dataset.splits
    # SynthText is read when it is indexed, and has a test of its own for that.
    if f"{name}_{split}" not in WITHOUT_GROUND_TRUTH and name != "synthtext"
)
TARGETS = [
    _target(name, MINIATURES[name], partial(read_split, name), 300) for name in BENCHMARK_NAMES
] + [
    _target(f"own-{name}", write, partial(_read_own, name), 300)
    for name, (_, _, write) in OWN.items()
]
