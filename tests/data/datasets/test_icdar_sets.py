"""ICDAR2013, the multi-lingual sets, ArT and LSVT: what is theirs alone."""

import json

import numpy as np
import pytest
from helpers.miniatures import MINIATURES, QUAD, image, text

from vlpt_d2.data.datasets.icdar2013 import parse_rectangle_line, read_icdar2013_file
from vlpt_d2.data.datasets.icdar2015 import read_quad_file
from vlpt_d2.data.datasets.icdar_mlt import read_icdar2017_mlt
from vlpt_d2.data.datasets.rrc_json import read_art, read_lsvt
from vlpt_d2.data.datasets.text_files import GroundTruthError


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ('158 128 412 182 "Footpath"', "Footpath"),
        ('158, 128, 412, 182, "Foot, path"', "Foot, path"),
        ('158,128,412,182,"a"', "a"),
        ('158, 128, 412, 182, ""', ""),
        (r'158, 128, 412, 182, "say \"hi\" \\"', 'say "hi" \\'),
        ("158 128 412 182 bare word", "bare word"),
        ('158 128 412 182 "half', '"half'),
    ],
)
def test_icdar2013_lines(line, word):
    points, read = parse_rectangle_line(line)
    np.testing.assert_array_equal(points, [[158, 128], [412, 128], [412, 182], [158, 182]])
    assert read == word


def test_icdar2013_malformed(tmp_path):
    text(tmp_path / "gt_1.txt", '1 2 3 4 "a"\n1 2 three 4 "b"\n')
    with pytest.raises(GroundTruthError, match=r"gt_1\.txt, line 2: .*three"):
        read_icdar2013_file(tmp_path / "gt_1.txt")
    text(tmp_path / "gt_1.txt", "1 2 3\n")
    with pytest.raises(GroundTruthError, match="line 1: .*expected left, top"):
        read_icdar2013_file(tmp_path / "gt_1.txt")


def test_scripts_and_commas_of_the_multilingual_sets(tmp_path):
    text(tmp_path / "gt.txt", f'{QUAD},Arabic,"a,b"\n{QUAD},None,###\n{QUAD},Symbols,\n')
    texts = read_quad_file(tmp_path / "gt.txt", script=True)
    assert [t.text for t in texts] == ['"a,b"', "###", ""]
    assert [t.extra["script"] for t in texts] == ["Arabic", "None", "Symbols"]
    assert [t.ignore for t in texts] == [False, True, False]
    text(tmp_path / "gt.txt", f"{QUAD},word\n")
    with pytest.raises(GroundTruthError, match="has 9 fields; expected .*,script,transcription"):
        read_quad_file(tmp_path / "gt.txt", script=True)


def test_images_of_the_eight_archives(tmp_path):
    for part in (1, 2, 8):
        image(tmp_path / f"ch8_training_images_{part}/img_{part}.gif")
        folder = tmp_path / "ch8_training_localization_transcription_gt_v2"
        text(folder / f"gt_img_{part}.txt", f"{QUAD},Latin,Joy\n")
    dicts, report = read_icdar2017_mlt(tmp_path, "train")
    assert [d["file_name"][-9:] for d in dicts] == ["img_1.gif", "img_2.gif", "img_8.gif"]
    assert report.words == 3


def test_json_entries_and_images_have_to_match(tmp_path):
    MINIATURES["lsvt_train"](tmp_path)
    labels = tmp_path / "lsvt/train_full_labels.json"
    entries = json.loads(labels.read_text())
    labels.write_text(json.dumps(entries | {"gt_7": []}))
    dicts, report = read_lsvt(tmp_path / "lsvt")
    assert (len(dicts), report.words, report.ignored) == (2, 4, 2)
    assert report.dropped == {"entries without an image": 1}
    assert dicts[0]["annotations"][0]["language"] == "Latin"
    labels.write_text(json.dumps({"gt_0": []}))
    with pytest.raises(FileNotFoundError, match="no entry 'gt_1'"):
        read_lsvt(tmp_path / "lsvt")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"transcription": "a"}, r"train_labels\.json, gt_0, text 1: expected"),
        ({"points": [[1, 2], [3]]}, r"gt_0, text 1: .* are no points"),
        ({"points": "1,2"}, "are no points"),
        ("word", "text 1: expected"),
    ],
)
def test_malformed_json_entries(tmp_path, entry, message):
    MINIATURES["icdar2019_art_train"](tmp_path)
    root = tmp_path / "icdar2019_art"
    (root / "train_labels.json").write_text(json.dumps({"gt_0": [entry], "gt_1": []}))
    with pytest.raises(GroundTruthError, match=message):
        read_art(root, "train")
