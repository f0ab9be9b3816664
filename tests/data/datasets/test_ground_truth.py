"""Encodings, line ends, JSON, and the EXIF orientation of annotated images."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from vlpt_d2.data.datasets.ground_truth import (
    GroundTruthError,
    TextAnnotation,
    make_record,
    numbered_lines,
    read_text,
)
from vlpt_d2.data.datasets.image_files import read_header
from vlpt_d2.data.datasets.json_files import read_json
from vlpt_d2.data.datasets.report import ReadReport


@pytest.mark.parametrize(
    ("encoding", "counted"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", None),
        ("cp1252", "file is not UTF-8, read as cp1252"),
    ],
)
def test_encodings(tmp_path, encoding, counted):
    path = tmp_path / "gt.txt"
    path.write_bytes("1,2,café\r\n".encode(encoding))
    report = ReadReport("set")
    assert read_text(path, report) == "1,2,café\r\n"
    assert dict(report.repaired) == ({counted: 1} if counted else {})


def test_older_encoding_of_a_dataset_comes_first(tmp_path):
    path = tmp_path / "gt.txt"
    path.write_bytes("中文".encode("gb18030"))
    report = ReadReport("set")
    assert read_text(path, report, ("gb18030",)) == "中文"
    assert report.examples == {"file is not UTF-8, read as gb18030": ["gt.txt"]}


def test_lines_keep_their_numbers_and_inner_separators():
    lines = list(numbered_lines("a\x0bb\r\n\r\n \rc\u2028d\n"))
    assert lines == [(1, "a\x0bb"), (4, "c\u2028d")]


def test_json_errors_name_line_and_remedy(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text('{"a": 1,\n "b": ')
    with pytest.raises(GroundTruthError, match=r"labels\.json, line 2, column \d.*again"):
        read_json(path)
    path.write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00")
    with pytest.raises(GroundTruthError, match="null characters"):
        read_json(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_points_turn_with_their_image(tmp_path, orientation):
    pixels = np.zeros((40, 70, 3), np.uint8)
    pixels[5:9, 20:60] = 255  # x 20 to 60, y 5 to 9 as stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path, exif=exif)
    shown = np.array(ImageOps.exif_transpose(Image.open(path)))[..., 0]
    header = read_header(path)
    assert header.shown == shown.shape
    turned = header.turn(np.array([[20.0, 5.0], [60.0, 9.0]]))
    (x0, y0), (x1, y1) = turned.min(axis=0).astype(int), turned.max(axis=0).astype(int)
    expected = np.zeros_like(shown)
    expected[y0:y1, x0:x1] = 255
    np.testing.assert_array_equal(shown, expected)


def _turned_photo(tmp_path):
    path = tmp_path / "img651.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (70, 40)).save(path, exif=exif)  # shown 40 wide and 70 high
    return path


@pytest.mark.parametrize(
    ("box", "frame", "expected"),
    [
        ((45, 5, 65, 15), "shown", [25, 45, 35, 65]),  # leaves the shown image: as stored
        ((5, 45, 15, 65), "stored", [5, 45, 15, 65]),  # leaves the stored pixels: as shown
        ((5, 5, 15, 25), "stored", [15, 5, 35, 15]),  # fits both: as the dataset does
        ((5, 5, 15, 25), "shown", [5, 5, 15, 25]),
    ],
)
def test_annotations_of_turned_images_take_the_frame_that_fits(tmp_path, box, frame, expected):
    x0, y0, x1, y1 = box
    points = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float)
    report = ReadReport("set")
    path = _turned_photo(tmp_path)
    record = make_record(path, 1, [TextAnnotation(points)], "gt", report, frame=frame)
    assert (record["height"], record["width"]) == (70, 40)
    assert record["annotations"][0]["bbox"] == expected
    turned = {"words turned with their image (EXIF)": 1} if expected != list(box) else {}
    assert report.repaired == turned


def test_broken_numbers_are_left_out_and_counted(tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (70, 40)).save(path)
    square = np.array([[1.0, 1], [9, 1], [9, 9], [1, 9]])
    texts = [square * 1e9, square * np.nan, square[:2], square[[0, 0, 0, 0]], square]
    report = ReadReport("set")
    record = make_record(
        path, 1, [TextAnnotation(t, place=str(i)) for i, t in enumerate(texts)], "gt", report
    )
    assert len(record["annotations"]) == report.words == 1
    assert report.dropped == {
        "a coordinate beyond a million pixels": 1,
        "not finite": 1,
        "fewer than three points": 1,
        "no area": 1,
    }
