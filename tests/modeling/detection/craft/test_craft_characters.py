"""Characters from drawn region scores, against boxes that are known; the tool that writes them."""

import importlib.util
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from helpers.detectors import detector_cfg

from vlpt_d2.data.datasets.dataset import register_text_dataset
from vlpt_d2.data.datasets.formats import read_folder
from vlpt_d2.modeling.detection.craft.characters import (
    SHORT_SIDE,
    character_boxes,
    crop_word,
    find_characters,
)
from vlpt_d2.modeling.detection.craft.labels import draw_craft_labels
from vlpt_d2.modeling.detection.text_axis import TextSides
from vlpt_d2.structures import TextInstances

TOOL = Path(__file__).resolve().parents[4] / "tools" / "find_characters.py"
WIDTHS = [20, 8, 30, 12, 20]


def box(x0, y0, x1, y1):
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float)


def region_of_boxes(boxes, size=(64, 128)):
    quads = np.array([box(*b) for b in boxes])
    texts = TextInstances([box(0, 0, *size[::-1])], words=["x"], characters=[quads])
    return draw_craft_labels(texts, size)["region"]


@pytest.mark.parametrize("height", [1.0, 0.9])
def test_touching_characters_of_any_width_are_divided(height):
    ends = 10 + np.cumsum([0, *WIDTHS])
    expected = [(x0, 12, x1, 52) for x0, x1 in zip(ends, ends[1:])]  # noqa: RUF007
    # Scores may be lower than those of the labels; their order in the list does not matter.
    found = character_boxes(height * region_of_boxes(expected[::-1]))
    assert len(found) == len(WIDTHS)
    np.testing.assert_allclose(2 * found, expected, atol=2)


def test_what_is_one_character_and_what_is_none():
    region = region_of_boxes([(10, 12, 50, 52)])
    # Two peaks with little between them, as of an "m", and a weak one.
    region[13:19, 14] *= 0.93
    assert len(character_boxes(region)) == 1
    assert len(character_boxes(0.7 * region)) == 0
    assert character_boxes(np.zeros((8, 9), np.float32)).shape == (0, 4)
    (level,) = character_boxes(np.ones((8, 9), np.float32))
    assert level.tolist() == [0, 0, 9, 8]


def test_letters_on_one_another_are_read_downwards():
    found = character_boxes(region_of_boxes([(20, 60, 40, 90), (20, 20, 44, 50)], (120, 60)))
    assert (np.diff(found[:, 1]) > 0).all() and len(found) == 2


@pytest.mark.parametrize("degrees", [0, 40, 180])
def test_boxes_are_mapped_back_to_the_image(degrees):
    """The region scores are painted into the image, which is then cut out along the word."""
    word = box(60, 80, 60 + 1.5 * sum(WIDTHS), 110)
    ends = 60 + 1.5 * np.cumsum([0, *WIDTHS])
    quads = np.array([box(x0, 80, x1, 110) for x0, x1 in zip(ends, ends[1:])])  # noqa: RUF007
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))

    def turned(points):
        return (points - 128) @ np.array([(cos, sin), (-sin, cos)]) + 128

    word, quads = turned(word), turned(quads)
    texts = TextInstances([word], words=["letter"], characters=[quads])
    region = cv2.resize(draw_craft_labels(texts, (256, 256))["region"], (256, 256))
    image = np.repeat(np.uint8(255 * region)[..., None], 3, axis=2)

    def region_of(crop):
        assert crop.shape[0] == SHORT_SIDE and abs(crop.shape[1] - 128 * 4.5) <= 1
        return cv2.resize(crop, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)[..., 0] / 255

    others = [box(0, 0, 40, 20), box(0, 30, 40, 50), box(0, 60, 40, 80)]
    known = [quads[:1]] + [np.zeros((0, 4, 2))] * 3
    texts = TextInstances(
        [*others, word], [False, True, False, False], ["a", "b", " ", "lett er"], known
    )
    found = find_characters(image, texts, region_of)
    assert [len(own) for own in found.characters] == [1, 0, 0, 5]
    # Six letters, five characters.
    assert found.confidence.tolist() == pytest.approx([1, 1, 1, 5 / 6])
    np.testing.assert_allclose(found.characters[3], quads, atol=2.5)
    # Too few or too many for two or ten letters: the labels split the word.
    for text in ("on", "characters"):
        other = find_characters(image, TextInstances([word], words=[text]), region_of)
        assert len(other.characters[0]) == 0 and other.confidence.tolist() == [1]


def test_a_curved_word_is_cut_out_straight():
    angles = np.linspace(np.pi, 2 * np.pi, 25)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    polygon = np.concatenate([128 + 100 * circle, 128 + 60 * circle[::-1]])
    y, x = np.mgrid[:256, :256] + 0.5
    distance = np.hypot(x - 128, y - 128)
    image = np.repeat(np.uint8(np.clip(distance, 0, 255))[..., None], 3, axis=2)
    crop = crop_word(image, TextSides(polygon, reading_order=True))[..., 0].astype(float)
    # From the outer side to the inner one, wherever along the word; chords lie within the circle.
    assert np.abs(crop - np.linspace(99.5, 59.5, 128)[:, None])[:, 40:-40].max() < 2


def test_the_tool_writes_what_training_reads(tmp_path, monkeypatch, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 96, 3), np.uint8))
    annotation = {"segmentation": [[8, 8, 88, 8, 88, 48, 8, 48]], "text": "on", "iscrowd": 0}
    annotation |= {"bbox": [8, 8, 88, 48], "bbox_mode": 0, "category_id": 0}
    record = {"file_name": str(tmp_path / "a.png"), "height": 64, "width": 96, "image_id": 1}
    register_text_dataset("characters_test", lambda: [record | {"annotations": [annotation]}], "")
    spec = importlib.util.spec_from_file_location("find_characters", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    class Network:
        def predict_maps(self, samples):
            (height, width) = samples[0]["image"].shape[1:]
            assert (height, width) == (128, 256)
            region = region_of_boxes([(0, 0, 128, 128), (128, 0, 256, 128)], (160, 256))
            return [({"region": torch.from_numpy(region)[None]}, (height, width))]

    monkeypatch.setattr(tool, "load_detector", lambda *args, **kw: Network())
    cfg = detector_cfg("CRAFTHead", "tiny", MODEL__WEIGHTS="w.pth")
    monkeypatch.setattr(tool, "load_config", lambda *args: cfg)
    path = tmp_path / "characters.json"
    argv = f"tool --config-file c --dataset characters_test --output {path}".split()
    monkeypatch.setattr(sys, "argv", argv)
    try:
        tool.main()
    finally:
        DatasetCatalog.remove("characters_test")
    assert "1 of 1 words have characters, with a confidence of 1.00" in capsys.readouterr().out
    assert json.loads(path.read_text())["images"][0]["file_name"] == "a.png"
    (found,), _ = read_folder("coco", tmp_path, path, "back")
    (word,) = found["annotations"]
    quads = np.reshape(word["characters"], (-1, 4, 2))
    np.testing.assert_allclose(quads, [box(8, 8, 48, 48), box(48, 8, 88, 48)], atol=2)
