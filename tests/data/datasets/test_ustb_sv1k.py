"""USTB-SV1K: MSRA-TD500's rectangles with words."""

import math

import numpy as np
import pytest

from vlpt_d2.data.datasets.ground_truth import GroundTruthError
from vlpt_d2.data.datasets.ustb_sv1k import read_ustb_file, read_ustb_sv1k


def test_words_and_rectangles_by_hand(tmp_path):
    path = tmp_path / "0001.gt"
    path.write_bytes(
        b'\xef\xbb\xbf0 0 10 20 40 10 0.000000 "Joy" 1\r\n'
        + f'1 1 10 20 40 10 {math.pi / 2} "say "Hi", 2" 2\r\n\r\n'.encode()
        + b'2 0 1 2 3 4 0 "" 1'
    )
    first, second, third = read_ustb_file(path)
    np.testing.assert_allclose(first.points, [[10, 20], [50, 20], [50, 30], [10, 30]])
    assert (first.text, first.ignore, first.extra) == ("Joy", False, {"difficult": 0})
    # A quarter turn clockwise as seen: what was on top comes to the right.
    np.testing.assert_allclose(second.points, [[35, 5], [35, 45], [25, 45], [25, 5]])
    assert (second.text, second.ignore, second.place) == ('say "Hi", 2', True, "2")
    assert (third.text, third.place) == ("", "4")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0 10 20 40 10 0", r'0001\.gt, line 1: .*expected index difficult x y w h theta "word"'),
        ('0 0 10 20 40 10 0 "Joy', 'theta "word" direction'),
        ('0 0 10 20 40 10 0 "Joy"', 'theta "word" direction'),
        ('0 0 10 20 40 10 "Joy" 1', "has 6 fields"),
        ('0 0 10 20 4O 10 0 "Joy" 1', "4O"),
        ('0 3 10 20 40 10 0 "Joy" 1', "difficult is 0 or 1"),
    ],
)
def test_malformed_lines(tmp_path, line, message):
    path = tmp_path / "0001.gt"
    path.write_text(line)
    with pytest.raises(GroundTruthError, match=message):
        read_ustb_file(path)


def test_missing_folder_shows_the_tree(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"(?s)no such folder.*for USTB-SV1K"):
        read_ustb_sv1k(tmp_path, "test")
