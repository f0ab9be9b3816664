"""The example that reads detections with RapidOCR's recogniser."""

import importlib.util
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from helpers.signs import SMALL, overlap, sign
from PIL import Image

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "read_text.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("read_text", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def files(example, tmp_path_factory):
    """What it writes of a sign and one that is turned to the left, pages of a file; others fail."""
    folder = tmp_path_factory.mktemp("read")
    turned = sign(("STOP",))[0].transpose(Image.Transpose.ROTATE_90)
    sign()[0].save(folder / "signs.tif", save_all=True, append_images=[turned])
    (folder / "broken.png").write_text("no image")
    names = [str(folder / name) for name in ("signs.tif", "broken.png", "gone.png")]
    assert example.main([*names, "--output", str(folder / "out.v2"), "--opts", *SMALL]) == 1
    return folder


def test_the_words_are_read_in_lines(files):
    assert (files / "out.v2.txt").read_text() == "COFFEE\nopen\n\nSTOP\n"


def test_hocr_has_words_with_boxes(files):
    root = ElementTree.parse(files / "out.v2.hocr").getroot()
    by_class = {}
    for element in root.iter():
        by_class.setdefault(element.get("class"), []).append(element)
    assert [page.get("title").split("; ")[:2] for page in by_class["ocr_page"]] == [
        ['image "signs.tif"', "bbox 0 0 224 160"],
        ['image "signs.tif"', "bbox 0 0 160 224"],
    ]
    words = by_class["ocrx_word"]
    assert [word.text for word in words] == ["COFFEE", "open", "STOP"]
    for word, box in zip(words, sign()[1]):
        place, confidence = word.get("title").split("; ")
        x0, y0, x1, y1 = map(int, place.split()[1:])
        assert overlap(np.array([(x0, y0), (x1, y1)]), box) > 0.6
        assert 50 < int(confidence.split()[1]) <= 100


def test_the_pdf_can_be_searched(files):
    """By another library: the text of each page, where it is, and that it is not drawn."""
    document = pypdfium2.PdfDocument(files / "out.v2.pdf")
    assert [page.get_size() for page in document] == [(224, 160), (160, 224)]
    text = document[0].get_textpage()
    assert text.get_text_range().split() == ["COFFEE", "open"]
    left, bottom, right, top = (
        f(values) for f, values in zip((min, min, max, max), zip(*map(text.get_charbox, range(6))))
    )
    box = sign()[1][0]
    assert overlap(np.array([(left, 160 - top), (right, 160 - bottom)]), box) > 0.5
    turned = document[1].get_textpage()
    assert turned.get_text_range().strip() == "STOP"
    boxes = [turned.get_charbox(i) for i in range(4)]
    assert boxes[0][1] < boxes[3][1]  # it runs upwards
    drawn = document[0].render().to_pil().convert("RGB")
    difference = np.abs(np.asarray(drawn, int) - np.asarray(sign()[0], int))
    assert difference.mean() < 3


def test_corners_begin_where_the_text_does(example):
    corners = np.array([(0, 0), (20, 4), (18, 14), (-2, 10)], float)
    for turn in range(4):
        np.testing.assert_array_equal(example.upright(np.roll(corners, turn, axis=0)), corners)
        np.testing.assert_array_equal(
            example.upright(np.roll(corners[::-1], turn, axis=0)), corners
        )
