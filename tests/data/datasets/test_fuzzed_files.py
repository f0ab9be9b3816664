"""Randomly damaged ground truth: an error of ours, or dicts that are sound; nothing else."""

import random
import re

import numpy as np
import pytest
import shapely
from helpers.damage import damage
from helpers.miniatures import MINIATURES, WITHOUT_GROUND_TRUTH

from vlpt_d2.data.datasets.builtin import DATASETS
from vlpt_d2.data.datasets.dataset import read_split
from vlpt_d2.data.datasets.ground_truth import GroundTruthError
from vlpt_d2.data.sample import CorruptImageError

OURS = (GroundTruthError, CorruptImageError, FileNotFoundError)
NAMES = sorted(
    f"{name}_{split}"
    for name, dataset in DATASETS.items()
    for split in dataset.splits
    # SynthText is read when it is indexed, and has a test of its own for that.
    if f"{name}_{split}" not in WITHOUT_GROUND_TRUTH and name != "synthtext"
)


def ground_truth_file(root, name):
    folder = root / name.rpartition("_")[0]
    images = {".jpg", ".png", ".gif"}
    return min(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() not in images)


def check(dicts):
    for record in dicts:
        for annotation in record["annotations"]:
            shape = shapely.Polygon(np.reshape(annotation["segmentation"][0], (-1, 2)))
            assert shape.is_valid
            assert shape.area > 0
            assert isinstance(annotation["text"], str)
            assert annotation["iscrowd"] in (0, 1)


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files(tmp_path, name):
    MINIATURES[name](tmp_path)
    path = ground_truth_file(tmp_path, name)
    content = path.read_bytes()
    rng = random.Random(name)
    outcomes = set()
    for _ in range(40):
        path.write_bytes(damage(content, rng))
        try:
            dicts, report = read_split(name, tmp_path)
        except OURS as error:
            assert str(path.name) in str(error) or "no entry" in str(error)
            outcomes.add("error")
        else:
            check(dicts)
            assert report.words == sum(len(d["annotations"]) for d in dicts)
            outcomes.add("read")
    assert "error" in outcomes


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_number_is_never_silent(tmp_path, name):
    MINIATURES[name](tmp_path)
    path = ground_truth_file(tmp_path, name)
    if path.suffix == ".mat":
        pytest.skip("binary")
    content = path.read_text("utf-8-sig")
    whole = read_split(name, tmp_path)[1]
    # Coordinates alone: other numbers of XML and JSON are not read.
    spans = {".xml": r"<segs>[^<]*", ".json": r'"(?:points|mask)": [^a-z]*\]'}
    numbers = [
        (part.start() + number.start(), part.start() + number.end())
        for part in re.finditer(spans.get(path.suffix, r"(?s).+"), content)
        for number in re.finditer(r"(?<!\w)\d+(?:\.\d+)?,? ?", part[0])
    ]
    assert len(numbers) >= 4
    rng = random.Random(name)
    for start, end in rng.sample(numbers, min(12, len(numbers))):
        path.write_text(content[:start] + content[end:], "utf-8")
        try:
            _, report = read_split(name, tmp_path)
        except GroundTruthError:
            continue
        counted = sum((report.repaired + report.dropped).values())
        assert counted > sum((whole.repaired + whole.dropped).values()), content[start:end]
