"""Datasets written in other formats and read again by our readers."""

import json

import numpy as np
import pytest
from helpers.miniatures import image
from PIL import Image
from pycocotools.coco import COCO

from vlpt_d2.data.conversion import WRITERS, convert_dataset
from vlpt_d2.data.datasets.formats import read_folder
from vlpt_d2.data.datasets.rendered import load_rendered

QUAD = [10.25, 20, 50, 20, 50, 40.5, 10, 40]
PENTAGON = [60, 10, 80, 10, 85, 20, 80, 30, 60, 30]


def text(ring, word, iscrowd=0):
    points = np.reshape(ring, (-1, 2))
    box = [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]
    return {
        "bbox": box,
        "bbox_mode": 0,
        "category_id": 0,
        "segmentation": [ring],
        "iscrowd": iscrowd,
        "text": word,
    }


@pytest.fixture
def dicts(tmp_path):
    records = []
    annotations = [
        [text(QUAD, 'a,"b"'), text(PENTAGON, "中文"), text(QUAD, "gone", 1)],
        [],
        [text(QUAD, "")],
    ]
    for number, texts in enumerate(annotations):
        path = tmp_path / f"source/{number}/photo.png"  # the same name in every folder
        image(path)
        record = {"file_name": str(path), "height": 64, "width": 96, "image_id": number}
        records.append(record | {"annotations": texts})
    return records


def read_back(form, folder):
    labels = folder / ("labels.json" if form == "coco" else "labels")
    return read_folder(form, folder / "images", labels, "back")[0]


@pytest.mark.parametrize("form", ["coco", "labelme"])
def test_polygons_and_words_come_back(dicts, tmp_path, form):
    result = convert_dataset(dicts, tmp_path / "out", form)
    assert (result.images, result.texts, dict(result.losses)) == (3, 4, {})
    back = read_back(form, tmp_path / "out")
    assert [d["annotations"] for d in back] == [d["annotations"] for d in dicts]
    assert {d["file_name"].rpartition("/")[2] for d in back} == {
        "photo.png",
        "photo_2.png",
        "photo_3.png",
    }


def test_icdar_quadrilaterals(dicts, tmp_path):
    result = convert_dataset(dicts, tmp_path / "out", "icdar", images="link")
    assert result.losses == {
        "polygons, written as rectangles around them": 1,
        "words of ignored texts": 1,
    }
    back = read_back("icdar", tmp_path / "out")
    assert (tmp_path / "out/images/photo_2.png").is_symlink()
    quad, rectangle, ignored = back[0]["annotations"]
    assert quad["segmentation"] == [QUAD]
    assert (quad["text"], rectangle["text"], ignored["text"]) == ('a,"b"', "中文", "###")
    assert [a["iscrowd"] for a in back[0]["annotations"]] == [0, 0, 1]
    assert rectangle["bbox"] == pytest.approx([60, 10, 85, 30])
    assert back[1]["annotations"] == []


def test_yolo_shares(dicts, tmp_path):
    result = convert_dataset(dicts, tmp_path / "out", "yolo-obb")
    assert result.losses["ignored texts, left out"] == 1
    assert result.losses["transcriptions"] == 2
    back = read_back("yolo-obb", tmp_path / "out")
    assert [len(d["annotations"]) for d in back] == [2, 0, 1]
    assert back[0]["annotations"][0]["segmentation"][0] == pytest.approx(QUAD, abs=1e-5)


def test_pycocotools_reads_coco(dicts, tmp_path, capsys):
    convert_dataset(dicts, tmp_path / "out", "coco")
    coco = COCO(str(tmp_path / "out/labels.json"))
    assert len(coco.imgs) == 3
    (annotation, *_) = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert annotation["bbox"] == [10, 20, 40, 20.5]
    assert coco.annToMask(annotation).sum() == pytest.approx(annotation["area"], rel=0.1)


@pytest.mark.parametrize("form", WRITERS)
def test_turned_squeezed_and_rendered_images_are_written_as_seen(tmp_path, form):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    Image.new("RGB", (64, 96)).save(path, exif=exif)  # shown 96 wide
    square = [10, 20, 50, 20, 50, 40, 10, 40]
    record = {"file_name": str(path), "height": 64, "width": 96, "image_id": 1}
    record["annotations"] = [text(square, "a")]
    image(tmp_path / "squeezed.png", size=(48, 64))
    squeezed = record | {"file_name": str(tmp_path / "squeezed.png"), "width": 48}
    squeezed |= {"annotations": [text([5, 20, 25, 20, 25, 40, 5, 40], "a")]}
    squeezed["restore_size"] = (64, 96)
    rendered = load_rendered("quickstart", None, 1)[0]
    convert_dataset([record, squeezed, rendered], tmp_path / "out", form)
    back = {d["file_name"].rpartition("/")[2]: d for d in read_back(form, tmp_path / "out")}
    for name in ("turned.png", "squeezed.png"):
        assert (back[name]["height"], back[name]["width"]) == (64, 96)
        assert back[name]["annotations"][0]["segmentation"][0] == pytest.approx(square, abs=1e-4)
    drawn = back["000000.png"]
    assert (drawn["height"], drawn["width"]) == (rendered["height"], rendered["width"])
    assert drawn["annotations"]


def test_wrong_requests(dicts, tmp_path):
    with pytest.raises(ValueError, match="no format 'voc' can be written; there are coco"):
        convert_dataset(dicts, tmp_path / "out", "voc")
    with pytest.raises(ValueError, match="copied or linked"):
        convert_dataset(dicts, tmp_path / "out", "coco", images="move")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.json").write_text(json.dumps({}))
    with pytest.raises(ValueError, match="is not empty"):
        convert_dataset(dicts, tmp_path / "out", "coco")
