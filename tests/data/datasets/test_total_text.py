"""Total-Text in all its formats, told in one set of words."""

import numpy as np
import pytest
import scipy.io
from helpers.miniatures import XS, YS, image, text, total_text_mat

from vlpt_d2.data.datasets.ground_truth import GroundTruthError
from vlpt_d2.data.datasets.report import ReadReport
from vlpt_d2.data.datasets.total_text import read_total_text, read_total_text_file

ROWS = [
    (XS, YS, "Joe's", "c"),
    ([60, 80, 80, 60], [10, 10, 30, 30], "#", "#"),
    ([60, 80, 80], [40, 40, 50], "", "h"),
    ([1, 8, 8, 1], [1, 1, 5, 5], "a, b]", "m"),
]
TXT = (
    "x: [[10 20 30 40 50 50 40\n 30 20 10]], y: [[20 20 20 20 20 40 40 40\n 40 40]], "
    "ornt: [u'c'], transcriptions: [u\"Joe's\"]\n"
    "x: [[60 80 80 60]], y: [[10 10 30 30]], ornt: [u'#'], transcriptions: [u'#']\n"
    "x: [[60 80 80]], y: [[40 40 50]], ornt: [u'h'], transcriptions: [u'']\n"
    "x: [[ 1  8  8  1]], y: [[1 1 5 5]], ornt: [u'm'], transcriptions: [u'a, b]']\n"
)


def write(path, rows):
    if path.suffix == ".mat":
        total_text_mat(path, rows, key="gt" if path.stem.startswith("gt") else "polygt")
    else:
        text(path, TXT.replace("\n", "\r\n") if path.stem.startswith("gt") else TXT)


@pytest.mark.parametrize(
    "name", ["poly_gt_img1.mat", "gt_img1.mat", "poly_gt_img1.txt", "gt_img1.txt"]
)
def test_formats_agree(tmp_path, name):
    write(tmp_path / name, ROWS)
    texts = read_total_text_file(tmp_path / name)
    assert [t.text for t in texts] == ["Joe's", "#", "", "a, b]"]
    assert [t.ignore for t in texts] == [False, True, False, False]
    assert [t.extra["orientation"] for t in texts] == ["c", "#", "h", "m"]
    for read, (xs, ys, *_) in zip(texts, ROWS, strict=True):
        np.testing.assert_array_equal(read.points, np.stack([xs, ys], axis=1))


def test_first_release_comes_before_others_and_texts_last(tmp_path):
    image(tmp_path / "Images/Test/img1.jpg")
    gt = tmp_path / "Groundtruth/Polygon/Test"
    text(gt / "poly_gt_img1.txt", TXT)
    assert len(read_total_text(tmp_path, "test")[0][0]["annotations"]) == 4
    total_text_mat(gt / "gt_img1.mat", ROWS[:2])
    assert len(read_total_text(tmp_path, "test")[0][0]["annotations"]) == 2
    total_text_mat(gt / "poly_gt_img1.mat", ROWS[:1])
    dicts, report = read_total_text(tmp_path, "test")
    assert [a["text"] for a in dicts[0]["annotations"]] == ["Joe's"]
    assert (report.words, report.ignored) == (1, 0)


def test_words_of_too_few_points_are_counted(tmp_path):
    image(tmp_path / "Images/Test/img1.jpg")
    rows = [([5], [5], "#", "#"), *ROWS[:1]]
    total_text_mat(tmp_path / "Groundtruth/Polygon/Test/poly_gt_img1.mat", rows)
    _, report = read_total_text(tmp_path, "test")
    assert report.dropped == {"fewer than three points": 1}
    assert report.examples["fewer than three points"] == ["poly_gt_img1.mat:1"]


def test_image_without_words(tmp_path):
    total_text_mat(tmp_path / "poly_gt_img1.mat", [])
    assert read_total_text_file(tmp_path / "poly_gt_img1.mat") == []
    text(tmp_path / "poly_gt_img1.txt", "")
    assert read_total_text_file(tmp_path / "poly_gt_img1.txt", ReadReport("set")) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x: [[1 2 3]], y: [[1 2]], ornt: [u'c'], transcriptions: [u'a']", "line 1: 3 xs and 2 ys"),
        ("x: [[1 2 q]], y: [[1 2 3]], ornt: [u'c'], transcriptions: [u'a']", "line 1.*'q'"),
        (TXT + "x: [[1 2 3]], y: [[1 2 3]]", r"line 7: 'x: \[\[1 2 3.* is not a word; expected x"),
        ("1,2,3,4\n" + TXT, "line 1: '1,2,3,4' is not a word"),
    ],
)
def test_malformed_texts(tmp_path, content, message):
    text(tmp_path / "gt_img1.txt", content)
    with pytest.raises(GroundTruthError, match=message):
        read_total_text_file(tmp_path / "gt_img1.txt")


def test_malformed_mat_files(tmp_path):
    path = tmp_path / "gt_img1.mat"
    path.write_bytes(b"no matlab")
    with pytest.raises(GroundTruthError, match=r"gt_img1\.mat: no MATLAB file"):
        read_total_text_file(path)
    total_text_mat(path, ROWS, key="other")
    with pytest.raises(GroundTruthError, match="no variable polygt or gt, but other"):
        read_total_text_file(path)
    total_text_mat(path, [([1, 2, 3], [1, 2], "a", "c")])
    with pytest.raises(GroundTruthError, match="word 1: 3 xs and 2 ys"):
        read_total_text_file(path)


@pytest.mark.parametrize(
    "rows", [np.zeros((1, 6)), np.array(["abcdef"]), np.empty((1, 6, 2), object), np.ones((2, 2))]
)
def test_variables_that_are_no_table_of_cells(tmp_path, rows):
    if rows.dtype == object:
        rows[:] = "x"
    scipy.io.savemat(tmp_path / "gt_img1.mat", {"gt": rows})
    with pytest.raises(GroundTruthError, match=r"gt_img1\.mat: gt is not a table of cells"):
        read_total_text_file(tmp_path / "gt_img1.mat")


@pytest.mark.parametrize(
    "content",
    [
        "x: [[" * 50_000,
        "x: [[1 2 3]]" + " " * 50_000,
        f"x: [[1 2 3]], y: [[1 2 3]], ornt: [u'c'], transcriptions: []{'   ]' * 20_000} x",
        f"x: [[1 2 3]], y: [[1 2 3]], ornt: [u'c'], transcriptions: [{' ' * 50_000}",
    ],
)
def test_broken_texts_take_no_time(tmp_path, content):
    text(tmp_path / "gt_img1.txt", content)
    with pytest.raises(GroundTruthError, match=r"gt_img1\.txt, line 1: .* is not a word") as error:
        read_total_text_file(tmp_path / "gt_img1.txt")
    assert len(str(error.value)) < 500


def test_many_words_in_one_file(tmp_path):
    text(tmp_path / "gt_img1.txt", TXT * 2000)
    words = read_total_text_file(tmp_path / "gt_img1.txt")
    once = len(words) // 2000
    assert len(words) == 2000 * once
    assert words[-1].place == str(int(words[once - 1].place) + 1999 * TXT.count("\n"))
