"""JSON ground truth: numbers, strings, keys and ids that no tool should write, and some do."""

import json

import pytest
from helpers.miniatures import MINIATURES, SIZE, image, text

from vlpt_d2.data.datasets.coco_json import read_coco_json
from vlpt_d2.data.datasets.dataset import read_split
from vlpt_d2.data.datasets.ground_truth import GroundTruthError
from vlpt_d2.data.datasets.json_files import declared_size, read_id, read_json
from vlpt_d2.data.datasets.report import ReadReport


def test_numbers_beyond_pythons_limit_are_numbers_that_are_not_finite(tmp_path):
    text(tmp_path / "a.json", f"[{'9' * 5000}, -{'1' * 400}, {'1' * 300}, 7]")
    assert read_json(tmp_path / "a.json") == [float("inf"), float("-inf"), int("1" * 300), 7]


def test_characters_that_are_no_text_are_replaced_and_counted(tmp_path):
    text(tmp_path / "a.json", r'{"a\u0000": ["\ud83d\ude00", "x\ud800y", "\\u0000"], "b": "ok"}')
    report = ReadReport("x")
    found = read_json(tmp_path / "a.json", report)
    assert found == {"a\ufffd": ["\U0001f600", "x\ufffdy", r"\u0000"], "b": "ok"}
    assert report.repaired == {"characters that are no text, replaced": 2}


def test_a_key_that_occurs_twice_is_an_error(tmp_path):
    text(tmp_path / "a.json", '[{"b": 1}, {"b": 1, "c": 2, "b": 3}]')
    with pytest.raises(GroundTruthError, match=r"a\.json: the key 'b' occurs twice in one object"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("side", [0, -3, 10**6 + 1, 10**299])
def test_sizes_that_no_image_has(side):
    for size in ((side, 7), (7, side)):
        with pytest.raises(GroundTruthError, match="here: a size of"):
            declared_size(dict(zip("hw", size)), "h", "w", "here")


@pytest.mark.parametrize("value", [True, None, [1], {"a": 1}, 1.0, float("inf")])
def test_values_that_are_no_id(value):
    with pytest.raises(GroundTruthError, match="here: .* is not an id"):
        read_id(value, "here")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file_name": "a\u0000.jpg"}, "no such image"),
        ({"file_name": "a\ud800.jpg"}, "no such image"),
        ({"width": 10**400}, "'width': expected a whole number"),
        ({"width": 160, "height": 10**250}, "a size of 160x1000"),
        ({"id": True}, "True' is not an id"),
    ],
)
def test_coco_entries_of_these_kinds(tmp_path, change, message):
    image(tmp_path / "a.jpg")
    entry = {"id": 1, "file_name": "a.jpg", "width": SIZE[0], "height": SIZE[1]}
    content = {"images": [{**entry, **change}], "annotations": []}
    text(tmp_path / "labels.json", json.dumps(content))
    with pytest.raises((GroundTruthError, FileNotFoundError), match=message):
        read_coco_json(tmp_path, tmp_path / "labels.json")


def change_textocr(root, change):
    MINIATURES["textocr_train"](root)
    path = root / "textocr/TextOCR_0.1_train.json"
    content = json.loads(path.read_text())
    change(content, *content["imgs"])
    path.write_text(json.dumps(content))
    return read_split("textocr_train", root)


LOST = "annotations that imgToAnns gives to no image of imgs"


@pytest.mark.parametrize(
    ("change", "words", "dropped"),
    [
        (lambda c, a, b: c["imgToAnns"].clear(), 0, {LOST: 4}),
        (lambda c, a, b: c["imgToAnns"].update(x=c["imgToAnns"].pop(b)), 2, {LOST: 2}),
        (lambda c, a, b: c["imgToAnns"][a].pop(), 3, {LOST: 1}),
        (lambda c, a, b: c["imgs"].pop(a), 2, {LOST: 2}),
        (lambda c, a, b: c["imgToAnns"][a].append(f"{b}_1"), 4, {"annotations listed twice": 1}),
    ],
)
def test_textocr_annotations_without_an_image_are_counted(tmp_path, change, words, dropped):
    _, report = change_textocr(tmp_path, change)
    assert report.words == words
    assert report.dropped == dropped


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, a, b: c["imgs"][a].update(id=[1]), r"'id': '\[1\]' is not an id"),
        (lambda c, a, b: c["imgs"][a].update(id=b), "occurs twice"),
        (lambda c, a, b: c["imgToAnns"][a].append({}), "is not an id"),
        (lambda c, a, b: c["imgToAnns"][a].append("x"), "annotation x: expected an object"),
    ],
)
def test_textocr_ids(tmp_path, change, message):
    with pytest.raises(GroundTruthError, match=message):
        change_textocr(tmp_path, change)


def test_coco_text_images_of_no_set_are_counted(tmp_path):
    MINIATURES["coco_text_train"](tmp_path)
    path = tmp_path / "coco_text/cocotext.v2.json"
    path.write_text(path.read_text().replace('"set": "train"', '"set": "tran"', 1))
    _, report = read_split("coco_text_train", tmp_path)
    assert report.images == 1
    assert report.dropped == {"images of no set": 1}
