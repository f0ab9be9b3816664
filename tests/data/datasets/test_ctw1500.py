"""SCUT-CTW1500: the same line in its three formats."""

import numpy as np
import pytest
from helpers.miniatures import CTW, ctw1500_xml, image, text

from vlpt_d2.data.datasets.ctw1500 import parse_ctw1500_line, read_ctw1500, read_ctw1500_file
from vlpt_d2.data.datasets.ground_truth import GroundTruthError
from vlpt_d2.data.datasets.report import ReadReport

POINTS = ",".join(map(str, CTW.ravel()))
OFFSETS = "10,20,50,40," + ",".join(map(str, (CTW - [10, 20]).ravel()))


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (POINTS, ""),
        (f"{POINTS},####Joy", "Joy"),
        (f"{POINTS},####", ""),
        (f"{POINTS},####a,b,####c", "a,b,####c"),
        (f"{POINTS},#######", "###"),
        (OFFSETS, ""),
        (f"{OFFSETS},", ""),
    ],
)
def test_lines(line, word):
    points, read = parse_ctw1500_line(line)
    np.testing.assert_array_equal(points, CTW)
    assert read == word


def test_xml(tmp_path):
    path = tmp_path / "0001.xml"
    text(path, "\ufeff" + ctw1500_xml(CTW, "R&D &amp; caf\u00e9 &#39;"))
    (read,) = read_ctw1500_file(path)
    np.testing.assert_array_equal(read.points, CTW)
    assert (read.text, read.ignore) == ("R&D & café '", False)
    text(path, ctw1500_xml(CTW, "###"))
    (read,) = read_ctw1500_file(path)
    assert (read.text, read.ignore) == ("###", False)  # detection counts every line


def test_declared_encodings_and_chinese_words(tmp_path):
    declared = "<?xml version='1.0' encoding='gb2312'?>\n" + ctw1500_xml(CTW, "店")
    text(tmp_path / "0001.xml", declared, encoding="gb18030")
    report = ReadReport("set")
    assert read_ctw1500_file(tmp_path / "0001.xml", report)[0].text == "店"
    assert report.repaired == {"file is not UTF-8, read as gb18030": 1}


def test_the_labels_of_the_benchmark_are_read(tmp_path):
    image(tmp_path / "test/text_image/1001.jpg")
    text(tmp_path / "test/gt_ctw1500/0001001.txt", f"{POINTS},#######\n")
    dicts, report = read_ctw1500(tmp_path, "test")
    assert [(a["text"], a["iscrowd"]) for a in dicts[0]["annotations"]] == [("###", 0)]
    assert (report.words, report.ignored) == (1, 0)
    text(tmp_path / "test/text_label_circum/1001.txt", f"{OFFSETS}\r\n{OFFSETS}\r\n")
    dicts, report = read_ctw1500(tmp_path, "test")
    assert [a["text"] for a in dicts[0]["annotations"]] == ["", ""]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("1.txt", f"{POINTS}\n1,2,3\n", r"1\.txt, line 2: '1,2,3' has 3 numbers; expected 28"),
        ("1.txt", POINTS.replace("50", "x", 1), "line 1: .*'x'"),
        ("1.xml", "<Annotations><image>", r"1\.xml, line 1: no XML"),
        ("1.xml", "<a><box><label>w</label></box></a>", "box 1, segs: '' has 1 numbers"),
    ],
)
def test_malformed_files(tmp_path, name, content, message):
    text(tmp_path / name, content)
    with pytest.raises(GroundTruthError, match=message):
        read_ctw1500_file(tmp_path / name)


def test_document_types_are_refused(tmp_path):
    bomb = (
        '<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><Annotations>&b;</Annotations>'
    )
    text(tmp_path / "1.xml", bomb)
    with pytest.raises(GroundTruthError, match=r"1\.xml: declares a document type"):
        read_ctw1500_file(tmp_path / "1.xml")
