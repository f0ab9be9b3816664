"""Datasets written in other formats and read again by our readers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.locks import held_by_another
from helpers.miniatures import image
from PIL import Image
from pycocotools.coco import COCO

from vlpt_d2.data import conversion
from vlpt_d2.data.conversion import FORMATS, convert_dataset
from vlpt_d2.data.datasets.formats import read_folder
from vlpt_d2.data.datasets.rendered import load_rendered
from vlpt_d2.data.image_io import CorruptImageError
from vlpt_d2.utils.locks import FolderInUseError

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


def test_characters_come_back_in_coco_only(dicts, tmp_path):
    annotation = dicts[0]["annotations"][0]
    annotation["characters"] = [[10.25, 20, 30, 20, 30, 40, 10, 40]] * 2
    annotation["confidence"] = 0.75
    assert not convert_dataset(dicts, tmp_path / "out", "coco").losses
    assert read_back("coco", tmp_path / "out")[0]["annotations"] == dicts[0]["annotations"]
    losses = convert_dataset(dicts, tmp_path / "other", "labelme").losses
    assert losses == {"boxes of characters": 1}


def test_several_polygons_of_a_text(dicts, tmp_path):
    annotation = dicts[0]["annotations"][0]
    annotation["segmentation"] = [QUAD, PENTAGON]
    convert_dataset(dicts, tmp_path / "out", "coco")
    (found, *_) = json.loads((tmp_path / "out/labels.json").read_text())["annotations"]
    assert found["segmentation"] == [QUAD, PENTAGON] and found["bbox"] == [10, 10, 75, 30.5]
    losses = convert_dataset(dicts, tmp_path / "other", "labelme").losses
    assert losses == {"all but the first of several polygons": 1}


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


@pytest.mark.parametrize("form", FORMATS)
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


def clashing(tmp_path, names):
    """Images of one colour each, whose word is their grey level."""
    records = []
    for number, name in enumerate(names, 1):
        path = tmp_path / "clash" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (96, 64), (number, number, number)).save(path, "PNG")
        record = {"file_name": str(path), "height": 64, "width": 96, "image_id": number}
        records.append(record | {"annotations": [text(QUAD, str(number))]})
    return records


@pytest.mark.parametrize("form", ["coco", "icdar", "labelme"])
@pytest.mark.parametrize("images", ["copy", "link"])
def test_no_image_replaces_another(tmp_path, form, images):
    names = ["a/f.png", "a/f_3.png", "b/f.png", "a/F.PNG", "a/f_4.png", "b/f.jpg", "c/f_3_4.png"]
    dicts = clashing(tmp_path, names)
    assert convert_dataset(dicts, tmp_path / "out", form, images).images == len(names)
    back = read_back(form, tmp_path / "out")
    stems = {d["file_name"].rpartition("/")[2].rpartition(".")[0].casefold() for d in back}
    assert len(stems) == len(names)
    for record in back:
        with Image.open(record["file_name"]) as opened:
            assert str(opened.getpixel((0, 0))[0]) == record["annotations"][0]["text"]


def files_of(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


class Killed(BaseException):
    pass


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("moment", range(8))
def test_an_interrupted_conversion_resumes(dicts, tmp_path, monkeypatch, form, moment):
    """Killed while the n-th file is written, or a line of the progress."""
    whole = convert_dataset(dicts, tmp_path / "whole", form)
    folder, calls = tmp_path / "out", []

    def cut_off(writer):
        def write(first, *rest, **options):
            calls.append(first)
            if len(calls) <= moment:
                return writer(first, *rest, **options)
            writer(first, *(r[:10] if isinstance(r, str) else r for r in rest[:1]), *rest[1:])
            raise Killed

        return write

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", cut_off(shutil.copyfileobj))
        patch.setattr(Path, "write_text", cut_off(Path.write_text))
        patch.setattr(conversion, "write_text", cut_off(conversion.write_text))
        try:
            convert_dataset(dicts, folder, form)
        except Killed:
            with (folder / "unfinished_conversion.jsonl").open("a") as file:
                file.write('{"source": "cut off')
        else:
            assert moment >= len(calls)
            return
    result = convert_dataset(dicts, folder, form)
    assert files_of(folder) == files_of(tmp_path / "whole")
    assert (result.images, result.texts, result.losses) == (
        whole.images,
        whole.texts,
        whole.losses,
    )
    assert result.resumed <= 3


def test_a_conversion_resumes_only_the_same(dicts, tmp_path):
    def cut():
        yield dicts[0]
        yield dicts[1]
        raise Killed

    folder = tmp_path / "out"
    with pytest.raises(Killed):
        convert_dataset(cut(), folder, "icdar")
    with pytest.raises(ValueError, match="unfinished conversion to icdar .images: copy"):
        convert_dataset(dicts, folder, "yolo-obb")
    with pytest.raises(ValueError, match="unfinished conversion to icdar"):
        convert_dataset(dicts, folder, "icdar", "link")
    changed = [dicts[0], dicts[1] | {"annotations": dicts[0]["annotations"]}, dicts[2]]
    with pytest.raises(ValueError, match=r"of other data \(from image 2 on\)"):
        convert_dataset(changed, folder, "icdar")
    with pytest.raises(ValueError, match=r"of other data \(from image 2 on\)"):
        convert_dataset(dicts[:1], folder, "icdar")
    unfinished = folder / "unfinished_conversion.jsonl"
    content = unfinished.read_text()
    unfinished.write_text(content.replace('{"source"', "{source", 1))
    with pytest.raises(ValueError, match="line 2: is damaged"):
        convert_dataset(dicts, folder, "icdar")
    unfinished.write_text(content)
    assert convert_dataset(dicts, folder, "icdar").resumed == 2


def test_two_conversions_into_one_folder(dicts, tmp_path):
    with held_by_another(tmp_path / "out"), pytest.raises(FolderInUseError):
        convert_dataset(dicts, tmp_path / "out", "coco")
    assert convert_dataset(dicts, tmp_path / "out", "coco").images == 3


def test_a_broken_image_stops_a_conversion_with_its_name(dicts, tmp_path):
    (tmp_path / "source/1/photo.png").write_bytes(b"no image")
    with pytest.raises(CorruptImageError, match=r"1/photo\.png"):
        convert_dataset(dicts, tmp_path / "out", "coco")
    image(tmp_path / "source/1/photo.png")
    assert convert_dataset(dicts, tmp_path / "out", "coco").resumed == 1
