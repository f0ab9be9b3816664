"""SynthText: words and boxes of gt.mat, faults, and indexing that is interrupted."""

import random
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from helpers.miniatures import image, synthtext_gt

from vlpt_d2.data.datasets import synthtext
from vlpt_d2.data.datasets.ground_truth import GroundTruthError
from vlpt_d2.data.datasets.synthtext import (
    index_synthtext,
    read_synthtext,
    split_synthtext,
    split_words,
)
from vlpt_d2.data.memmap_dicts import MemmapDicts, MemmapWriter
from vlpt_d2.structures import TextInstances

SQUARE = np.array([[10, 20], [50, 20], [50, 40], [10, 40]], float)
SCRIPT = Path(__file__).resolve().parents[3] / "datasets/prepare_synthtext.py"
ENTRIES = [
    ("8/ballet_106_0.jpg", SQUARE[None], ["Lone"]),
    # Lines of one string and padded strings, in the order of their boxes.
    (
        "8/ballet_106_1.jpg",
        SQUARE + np.arange(5)[:, None, None],
        ["Lines:\nI lost", "Kevin  ", "x"],
    ),
    ("8/b.jpg", np.stack([SQUARE - 15, SQUARE + np.array([500, 0])]), ["leaves outside"]),
    ("9/c.jpg", np.stack([SQUARE[[0, 2, 1, 3]], SQUARE[[0, 1, 1, 0]], SQUARE]), ["bow flat fine"]),
    ("9/d.jpg", np.stack([SQUARE, SQUARE]), ["too many words here"]),
]


@pytest.fixture
def root(tmp_path):
    for name, *_ in ENTRIES:
        image(tmp_path / name)
    synthtext_gt(tmp_path / "gt.mat", ENTRIES)
    return tmp_path


def test_words_are_split_in_order():
    lines = ["Lines:\nI lost", "a   ", "  b\tc \n d "]
    assert split_words(lines) == ["Lines:", "I", "lost", "a", "b", "c", "d"]


def test_dicts_and_report(root):
    report = index_synthtext(root, workers=2)
    dicts, again = read_synthtext(root)
    assert [d["file_name"] for d in dicts] == [str(root / name) for name, *_ in ENTRIES]
    assert [d["image_id"] for d in dicts] == [1, 2, 3, 4, 5]
    assert all((d["height"], d["width"]) == (64, 96) for d in dicts)
    texts = [TextInstances.from_annotations(d["annotations"]).legible() for d in dicts]
    captions = [" ".join(each.captions()) for each in texts]
    assert captions == ["Lone", "Lines: I lost Kevin x", "leaves outside", "bow fine", ""]
    for number in (0, 1, 2):
        rings = [np.reshape(a["segmentation"][0], (4, 2)) for a in dicts[number]["annotations"]]
        np.testing.assert_array_equal(rings, ENTRIES[number][1])
    for number in (0, 1, 2):
        for annotation in dicts[number]["annotations"]:
            quads = np.reshape(annotation["characters"], (-1, 4, 2))
            assert len(quads) == len(annotation["text"])
            # They fill the word's box, in the order of its letters.
            ring = np.reshape(annotation["segmentation"][0], (4, 2))
            np.testing.assert_allclose(quads[0, [0, 3]], ring[[0, 3]], atol=1e-3)
            np.testing.assert_allclose(quads[-1, 1:3], ring[1:3], atol=1e-3)
    assert [len(a["characters"]) for a in dicts[3]["annotations"]] == [3, 4]  # bow, fine
    assert not any("characters" in a for a in dicts[4]["annotations"])
    crossed = np.reshape(dicts[3]["annotations"][0]["segmentation"][0], (4, 2))
    assert set(map(tuple, crossed)) == set(map(tuple, SQUARE))
    assert report.as_dict() == again.as_dict()
    assert (report.images, report.words) == (5, 12)
    assert report.repaired == {
        "self-crossing": 1,
        "not as many words as boxes: boxes kept without words": 1,
    }
    assert report.dropped == {"no area": 1}
    assert report.notes == {"words outside their image": 1}
    assert report.examples["words outside their image"] == ["8/b.jpg:2"]


def test_characters_that_do_not_fit_the_words(root):
    gt = scipy.io.loadmat(root / "gt.mat")
    gt["charBB"][0, 1] = gt["charBB"][0, 1][:, :, 1:]
    gt["charBB"][0, 2][0, 0, 0] = np.nan
    scipy.io.savemat(root / "gt.mat", gt)
    report = index_synthtext(root)
    kind = "boxes of characters that do not fit the words, left out"
    assert report.repaired[kind] == 2
    kept = [
        [len(a.get("characters", ())) for a in d["annotations"]] for d in read_synthtext(root)[0]
    ]
    assert kept == [[4], [0] * 5, [0, 0], [3, 4], [0, 0]]


def test_interrupted_indexing_goes_on(root, monkeypatch):
    monkeypatch.setattr(synthtext, "_BATCH", 2)
    calls = []

    def progress(done, total):
        calls.append((done, total))
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_synthtext(root, progress=progress)
    with pytest.raises(FileNotFoundError, match=r"(?s)not written yet.*prepare_synthtext\.py"):
        read_synthtext(root)
    report = index_synthtext(root, progress=lambda *call: calls.append(call))
    assert calls == [(2, 5), (4, 5), (5, 5)]
    dicts, _ = read_synthtext(root)
    assert [d["image_id"] for d in dicts] == [1, 2, 3, 4, 5]
    assert (report.images, report.words) == (5, 12)


def test_missing_and_broken_images(root):
    (root / "8/b.jpg").unlink()
    (root / "9/c.jpg").write_bytes(b"no image")
    with pytest.raises(FileNotFoundError, match=r"b\.jpg: no such image.*--skip-broken"):
        index_synthtext(root)
    report = index_synthtext(root, skip_broken=True)
    assert report.dropped == {"images missing or broken": 2}
    assert [d["image_id"] for d in read_synthtext(root)[0]] == [1, 2, 5]


def test_nothing_there(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"(?s)gt\.mat: no such file.*expected, for SynthText"
    ):
        index_synthtext(tmp_path)
    synthtext_gt(tmp_path / "gt.mat", ENTRIES)
    with pytest.raises(FileNotFoundError, match="none of the 5 images"):
        index_synthtext(tmp_path, skip_broken=True)


def test_script(root, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(root), "--workers", "1"])
    for _ in range(2):
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        assert end.value.code == 0
        assert (
            "5 images, 12 words\nrepaired: 1 self-crossing (9/c.jpg:1)" in capsys.readouterr().out
        )
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(root / "nowhere")])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert end.value.code == 2
    assert "no such file" in capsys.readouterr().err


def test_damaged_gt(root):
    content = (root / "gt.mat").read_bytes()
    rng = random.Random(0)
    errors = 0
    for _ in range(30):
        data = bytearray(content)
        for _ in range(4):
            data[rng.randrange(128, len(data))] = rng.randrange(256)
        (root / "gt.mat").write_bytes(data)
        try:
            index_synthtext(root, workers=1)
        except (GroundTruthError, FileNotFoundError):
            errors += 1
        else:
            for path in (root / "index").iterdir():
                path.unlink()
    assert errors > 15


def splitmix64(value):
    """The generator's output function on Python's unbounded integers."""
    mask = 2**64 - 1
    value = value * 0x9E3779B97F4A7C15 & mask
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & mask
    value = (value ^ value >> 27) * 0x94D049BB133111EB & mask
    return value ^ value >> 31


def test_split_is_fixed(tmp_path):
    def index(folder, ids):
        with MemmapWriter(folder) as writer:
            for i in ids:
                writer.add(f"{i}.jpg", i, (9, 9), [SQUARE], ["Joy"], [False])
            writer.finish({})
        return MemmapDicts(folder, tmp_path)

    dicts = index(tmp_path / "whole", range(1, 201))
    parts = [[d["image_id"] for d in part] for part in split_synthtext(dicts)]
    assert [len(part) for part in parts] == [192, 8]
    assert parts[1] == sorted(sorted(range(1, 201), key=splitmix64)[:8])
    assert sorted(parts[0] + parts[1]) == list(range(1, 201))
    assert parts[0] == sorted(parts[0])
    assert all(part.has_trainable_text().all() for part in split_synthtext(dicts))
    # Where images are missing, the others stay where they were.
    fewer = index(tmp_path / "fewer", [i for i in range(1, 201) if i not in parts[1][:4]])
    assert set(parts[1][4:]) <= {d["image_id"] for d in split_synthtext(fewer)[1]}
