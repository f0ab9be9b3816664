"""Natural order, and names that never clash."""

import itertools
import os
import random

import pytest

from vlpt_d2.utils.names import (
    UniqueNames,
    counted,
    distinct_stems,
    free_path,
    natural_key,
    printable,
)


@pytest.mark.parametrize(
    "ordered",
    [
        ["img_1", "img_2", "img_10", "img_100"],
        ["2", "10", "a", "a1b2", "a1b10", "a2"],
        ["img_2", "img_²3", "img_٣"],  # digits of other kinds are letters
        ["a" + "1" * 5000, "a" + "2" * 5000, "a" + "1" * 5001],  # beyond Python's limit of digits
        ["", "a\nb", "\ud800", "中文 1", "中文 12"],
    ],
)
def test_natural_order(ordered):
    shuffled = ordered[:]
    random.Random(0).shuffle(shuffled)
    if ordered[0] == "":
        assert len(sorted(shuffled, key=natural_key)) == len(ordered)
    else:
        assert sorted(shuffled, key=natural_key) == ordered


def test_unique_names():
    names = UniqueNames()
    assert [names(stem, n) for n, stem in enumerate(["a", "a_3", "a", "A", "a"], 1)] == [
        "a", "a_3", "a_4", "A_5", "a_6",
    ]  # fmt: skip
    # e and an accent, composed and not, are one name on some file systems; so are ß and ss.
    assert names("\u00e9", 7) == "\u00e9"
    assert names("e\u0301", 8) == "e\u0301_8"
    assert [names("straße", 9), names("STRASSE", 10)] == ["straße", "STRASSE_10"]


def test_unique_names_fit_a_file_system(tmp_path):
    names = UniqueNames(["x"])
    stems = [names(stem, n) for n, stem in enumerate(["é" * 250, "é" * 240, "\udcff", "x"], 1)]
    for stem in stems:
        (tmp_path / f"gt_{stem}.txt.part").write_text("")
    assert len(os.listdir(tmp_path)) == 4


def test_distinct_stems():
    files = ["a/cam1/frame.png", "a/cam2/frame.png", "a/cam2/other.png", "b/cam2/frame.png"]
    named = dict(zip(files, distinct_stems(files)))
    assert named["a/cam1/frame.png"] == "cam1_frame"
    assert named["a/cam2/other.png"] == "other"
    assert named["a/cam2/frame.png"] == "a_cam2_frame"
    assert named["b/cam2/frame.png"] == "b_cam2_frame"
    for order in itertools.permutations(files):
        assert distinct_stems(order) == [named[file] for file in order]


@pytest.mark.parametrize(
    "files",
    [
        ["a.jpg", "a.png", "b/a.jpg", "A.jpg"],
        ["x/a.jpg", "y/a.jpg", "x_a.jpg"],
        ["img.jpg"] * 3,
        ["img.jpg", "img.jpg", "img_2.jpg"],
        [],
    ],
)
def test_stems_are_always_distinct(files):
    stems = distinct_stems(files)
    assert len({stem.casefold() for stem in stems}) == len(files)


def test_free_path(tmp_path):
    path = tmp_path / "a.png"
    assert free_path(path) == path
    path.touch()
    (tmp_path / "a_2.png").touch()
    assert free_path(path) == tmp_path / "a_3.png"
    assert not free_path(tmp_path / ("é" * 300 + ".png")).exists()


def test_printable():
    assert printable("a\nb\ud800中 é") == "a\\nb\\ud800中 é"


def test_numbers_and_their_nouns():
    assert [counted(n, "image") for n in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
