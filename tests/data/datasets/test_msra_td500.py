"""MSRA-TD500: the rotated rectangles, and every real training file."""

import math

import cv2
import numpy as np
import pytest

from vlpt_d2.data.datasets.ground_truth import GroundTruthError
from vlpt_d2.data.datasets.msra_td500 import (
    parse_rotated_line,
    read_hust_tr400,
    read_msra_file,
    read_msra_td500,
)


def test_upright_and_turned_rectangles_by_hand():
    points, difficult = parse_rotated_line("0 0 10 20 40 10 0.0")
    np.testing.assert_allclose(points, [[10, 20], [50, 20], [50, 30], [10, 30]])
    assert not difficult
    # A quarter turn clockwise as seen: what was on top comes to the right.
    points, difficult = parse_rotated_line(f"3 1 10 20 40 10 {math.pi / 2}")
    np.testing.assert_allclose(points, [[35, 5], [35, 45], [25, 45], [25, 5]])
    assert difficult


@pytest.mark.parametrize("theta", [-1.5, -0.3, 0.04, 0.8, 1.57])
def test_corners_are_those_of_opencv(theta):
    points, _ = parse_rotated_line(f"7 0 416 478 26.5 58 {theta}")
    box = ((416 + 26.5 / 2, 478 + 29), (26.5, 58), math.degrees(theta))
    expected = cv2.boxPoints(box)
    np.testing.assert_allclose(sorted(points.tolist()), sorted(expected.tolist()), atol=1e-3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0 10 20 40 10", r"IMG_1\.gt, line 2: .* has 6 fields; expected index difficult"),
        ("0 0 10 20 40 10 0 9", "has 8 fields"),
        ("0 2 10 20 40 10 0", "difficult is 0 or 1"),
        ("0 0 10 20 40 10 nan", "not finite"),
        ("0 0 10 20 40 10 90", "theta is in radians.*Correct the line"),
        ("0 0 10 20 4O 10 0", "4O.*Correct or remove"),
    ],
)
def test_malformed_lines(tmp_path, line, message):
    path = tmp_path / "IMG_1.gt"
    path.write_text(f"0 0 10 20 40 10 0\r\n{line}\r\n")
    with pytest.raises(GroundTruthError, match=message):
        read_msra_file(path)


def test_missing_ground_truth(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        read_hust_tr400(tmp_path / "nowhere")


def test_real_training_set(msra_td500_root):
    dicts, report = read_msra_td500(msra_td500_root, "train", name="td500")
    assert len(dicts) == report.images == 300
    lines, difficult = 0, 0
    for record in dicts:
        with open(record["file_name"].replace(".JPG", ".gt")) as file:
            rows = [line.split() for line in file if line.strip()]
        lines += len(rows)
        difficult += sum(row[1] == "1" for row in rows)
        for row, annotation in zip(rows, record["annotations"], strict=True):
            x, y, w, h, theta = map(float, row[2:])
            ring = np.reshape(annotation["segmentation"][0], (4, 2))
            np.testing.assert_allclose(ring.mean(axis=0), [x + w / 2, y + h / 2])
            expected = [[math.cos(theta) * w, math.sin(theta) * w]]
            np.testing.assert_allclose(ring[1:2] - ring[:1], expected, atol=1e-9)
            assert annotation["iscrowd"] == annotation["difficult"] == int(row[1])
    assert (report.words, report.ignored) == (lines, difficult)
    assert (report.words, report.ignored) == (1068, 101)
    assert not report.dropped
    assert not report.repaired
