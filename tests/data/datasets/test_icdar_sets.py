"""ICDAR2013, the multi-lingual sets, ArT and LSVT: what is theirs alone."""

import json
import random

import numpy as np
import pytest
from helpers.miniatures import CTW, MINIATURES, QUAD, image, text

from vlpt_d2.data.datasets.formats import read_folder
from vlpt_d2.data.datasets.ground_truth import GroundTruthError
from vlpt_d2.data.datasets.icdar2013 import parse_rectangle_line, read_icdar2013_file
from vlpt_d2.data.datasets.icdar2015 import read_quad_file, written_word
from vlpt_d2.data.datasets.icdar_mlt import read_icdar2017_mlt
from vlpt_d2.data.datasets.rrc_json import read_art, read_lsvt


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
    assert [t.text for t in texts] == ["a,b", "###", ""]
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
        ({"points": [[1, 2], [3]]}, r"gt_0, text 1: .* are not points"),
        ({"points": "1,2"}, "are not points"),
        ("word", "text 1: expected"),
    ],
)
def test_malformed_json_entries(tmp_path, entry, message):
    MINIATURES["icdar2019_art_train"](tmp_path)
    root = tmp_path / "icdar2019_art"
    (root / "train_labels.json").write_text(json.dumps({"gt_0": [entry], "gt_1": []}))
    with pytest.raises(GroundTruthError, match=message):
        read_art(root, "train")


def read_lines(folder, *lines, form="icdar"):
    image(folder / "images/a.jpg")
    text(folder / "labels/gt_a.txt", "".join(f"{line}\n" for line in lines))
    (record,), report = read_folder(form, folder / "images", folder / "labels", "own")
    found = [(a["text"], a["iscrowd"], a["segmentation"][0]) for a in record["annotations"]]
    return found, report


SQUARE = [float(v) for v in QUAD.split(",")]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ('"HELLO"', ("HELLO", 0)),
        ('"###"', ("###", 1)),
        (' "###" ', ("###", 1)),
        (r'"a \"b\" \\ c"', (r'a "b" \ c', 0)),
        ('""', ("", 0)),
        ('"', ('"', 0)),
        ('say "x"', ('say "x"', 0)),
        ("1,000,000", ("1,000,000", 0)),
        ("12,50", ("12,50", 0)),
        ("1 , 2", ("1 , 2", 0)),
        ("Latin", ("Latin", 0)),
        ('"Latin,x"', ("Latin,x", 0)),
    ],
)
def test_quotes_around_words_are_taken_off_as_in_the_script(tmp_path, word, expected):
    found, report = read_lines(tmp_path, f"{QUAD},{word}")
    assert found == [(*expected, SQUARE)]
    assert not report.repaired


def test_written_words_are_read_back(tmp_path):
    rng = random.Random(0)
    parts = ["a", "1", ",", ".", '"', " ", "\\", "#", "é", "Latin", "None", "20", "###,"]
    words = ["".join(rng.choices(parts, k=rng.randint(0, 9))).strip() for _ in range(500)]
    found, _ = read_lines(tmp_path, *(f"{QUAD},{written_word(word)}" for word in words))
    assert [w for w, _, _ in found] == words


def test_lines_of_the_multilingual_sets_taken_for_icdar(tmp_path):
    found, report = read_lines(tmp_path, f"{QUAD},Latin,Joy", f"{QUAD},None,###", f"{QUAD},Joy")
    assert [(w, ignored) for w, ignored, _ in found] == [("Joy", 0), ("###", 1), ("Joy", 0)]
    assert report.repaired == {"lines with a script, as in the MLT sets": 2}
    found, report = read_lines(tmp_path, f"{QUAD},a,b", form="icdar-mlt")
    assert report.notes == {"scripts that no multi-lingual set has": 1}


RING = [10, 20, 30, 18, 50, 20, 60, 30, 50, 40, 10, 40]


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (",".join(map(str, RING)) + ",Joy", "Joy"),
        (",".join(map(str, RING)) + ",a,b", "a,b"),
        (",".join(map(str, RING)) + ",", ""),
        (",".join(f"{v}.25" for v in RING) + ',"Joy, 5"', "Joy, 5"),
        (",".join(map(str, RING[:10])) + ',"Joy"', "Joy"),
    ],
)
def test_polygons_taken_for_icdar(tmp_path, line, word):
    ((read, _, ring),), report = read_lines(tmp_path, line)
    assert read == word
    count = 10 if '"Joy"' in line else 12
    np.testing.assert_allclose(ring, RING[:count], atol=0.25)
    assert report.repaired == {"lines of more than four points, read as polygons": 1}


def test_numbers_in_words_that_may_be_points_are_noted(tmp_path):
    found, report = read_lines(tmp_path, f"{QUAD},12,50,-", f"{QUAD},900,800,700,600,x")
    assert [w for w, _, _ in found] == ["12,50,-", "900,800,700,600,x"]
    assert report.notes == {"words that begin with several numbers": 2}


@pytest.mark.parametrize(
    ("line", "ring", "word"),
    [
        ('20,10,60,14,58,30,18,26,"word"', [20, 10, 60, 14, 58, 30, 18, 26], "word"),
        ("20,10,60,14,58,30,18,26,word", [20, 10, 60, 14, 58, 30, 18, 26], "word"),
        ('20 10 60 14 58 30 "a 1"', [20, 10, 60, 14, 58, 30], "a 1"),
        ('20.5 10 60 14 "1,2,3,4,5"', [20.5, 10, 60, 10, 60, 14, 20.5, 14], "1,2,3,4,5"),
        ("20 10 60 14 2015", [20, 10, 60, 10, 60, 14, 20, 14], "2015"),
    ],
)
def test_icdar2013_files_of_cvat(tmp_path, line, ring, word):
    ((read, _, found),), _ = read_lines(tmp_path, line, form="icdar2013")
    assert (found, read) == (ring, word)


@pytest.mark.parametrize(
    "line", ["20,10,60,14,58,30,18,26", '20,10,60,14,58,"x"', '20,10,60,"x"', "a b c d e", " " * 9]
)
def test_icdar2013_lines_that_are_none(line):
    with pytest.raises(ValueError, match="expected left, top, right, bottom"):
        parse_rectangle_line(line)


@pytest.mark.parametrize("blank", [" ", "\t", " ,", ", "])
def test_long_lines_take_no_time(blank):
    """A cubic expression took 20 s for 900 blanks."""
    for line in ("1" + blank * 50_000, ("1" + blank * 10_000) * 3 + "x", blank * 50_000 + "1"):
        with pytest.raises(ValueError) as error:
            parse_rectangle_line(line)
        assert len(str(error.value)) < 400


@pytest.mark.parametrize("number", ["1_0", "٣", "\uff11", "²", "0x10", "1e999", "inf", "nan"])
@pytest.mark.parametrize("form", ["icdar", "icdar2013", "msra-td500", "yolo-obb", "ctw1500"])
def test_numbers_that_only_python_reads_are_none(tmp_path, number, form):
    line, name = {
        "icdar": (f"{QUAD},x", "gt_a.txt"),
        "icdar2013": ('10 20 50 40 "x"', "gt_a.txt"),
        "msra-td500": ("0 0 10 20 40 20 0.0", "a.gt"),
        "yolo-obb": ("0 .3 .5 .10 .3", "a.txt"),
        "ctw1500": (",".join(map(str, CTW.ravel())), "a.txt"),
    }[form]
    image(tmp_path / "images/a.jpg")
    text(tmp_path / "labels" / name, line.replace("10", number, 1))
    with pytest.raises(GroundTruthError, match=rf"{name}, line 1"):
        read_folder(form, tmp_path / "images", tmp_path / "labels", "own")
