"""Folders of images: what is listed, what is left out and said, and odd names."""

import json
import os

import numpy as np
import pytest
from helpers.miniatures import QUAD, image, text
from PIL import Image

from vlpt_d2.data import image_io
from vlpt_d2.data.conversion import convert_dataset
from vlpt_d2.data.datasets.formats import read_folder
from vlpt_d2.data.datasets.image_files import ImageHeader, list_images, read_header
from vlpt_d2.data.datasets.report import ReadReport
from vlpt_d2.data.images import image_batches
from vlpt_d2.data.rendering.backgrounds import find_photographs

KINDS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".JPE": "JPEG", ".jfif": "JPEG", ".png": "PNG",
    ".gif": "GIF", ".bmp": "BMP", ".webp": "WEBP", ".tif": "TIFF", ".TIFF": "TIFF",
    ".avif": "AVIF", ".jp2": "JPEG2000",
}  # fmt: skip
YOLO = "0 0.1 0.3 0.5 0.3 0.5 0.6 0.1 0.6\n"


def folder_of(root, stems, label="gt_{}.txt", content=f"{QUAD},Joy\n"):
    for stem in stems:
        image(root / f"images/{stem}.png")
        text(root / f"labels/{label.format(stem)}", content)
    return root / "images", root / "labels"


@pytest.mark.parametrize("suffix", KINDS)
def test_every_kind_is_listed_by_every_reader_of_a_folder(tmp_path, suffix):
    kind = KINDS[suffix]
    if suffix.lower() not in image_io.readable_suffixes():
        pytest.skip(f"this Pillow reads no {kind}")
    image(tmp_path / f"images/a{suffix}", format=kind)
    text(tmp_path / "labels/gt_a.txt", f"{QUAD},Joy\n")
    text(tmp_path / "yolo/a.txt", YOLO)
    for form, labels in (("icdar", "labels"), ("yolo-obb", "yolo")):
        (record,), report = read_folder(form, tmp_path / "images", tmp_path / labels, "x")
        assert (record["height"], record["width"]) == (64, 96)
        assert not report.dropped
    assert [os.path.basename(p) for p in find_photographs(str(tmp_path / "images"))] == [
        f"a{suffix}"
    ]


def test_images_that_cannot_be_read_here_are_counted(tmp_path, monkeypatch):
    images, labels = folder_of(tmp_path, ["a"])
    for name in ("b.heic", "c.CR2", "d.avif", "notes.txt", ".hidden.heic"):
        (images / name).write_bytes(b"")
    monkeypatch.setattr("vlpt_d2.data.image_io.readable_suffixes", lambda: {".png", ".jpg"})
    records, report = read_folder("icdar", images, labels, "x")
    assert len(records) == 1
    (what,) = report.dropped
    assert "cannot be read here" in what
    assert report.dropped[what] == 3
    assert report.examples[what] == ["b.heic", "c.CR2", "d.avif"]
    (images / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match="no .jpg or .png image, and 3 images of a kind"):
        read_folder("icdar", images, labels, "x")


@pytest.mark.parametrize(
    ("form", "label", "content"),
    [
        ("icdar", "gt_{}.txt", f"{QUAD},Joy\n"),
        ("yolo-obb", "{}.txt", YOLO),
        ("msra-td500", "{}.gt", "0 0 10 20 40 20 0\n"),
    ],
)
def test_labels_without_an_image_are_counted(tmp_path, form, label, content):
    images, labels = folder_of(tmp_path, ["a", "b", "c10", "c9"], label, content)
    assert not read_folder(form, images, labels, "x")[1].dropped
    for stem in ("b", "c9", "c10"):
        (images / f"{stem}.png").unlink()
    for name in ("classes.txt", "notes.md", ".hidden.txt"):
        (labels / name).write_text("x")
    records, report = read_folder(form, images, labels, "x")
    assert len(records) == 1
    assert report.dropped == {"label files without an image": 3}
    names = report.examples["label files without an image"]
    assert names == [label.format(stem) for stem in ("b", "c9", "c10")]


def test_images_without_a_label_file_of_labelme_are_noted(tmp_path):
    content = {"imagePath": "a.png", "imageData": None, "shapes": []}
    images, labels = folder_of(tmp_path, ["a"], "{}.json", json.dumps(content))
    for name in ("b.png", "a.jpg"):
        image(images / name)
    records, report = read_folder("labelme", images, labels, "x")
    assert len(records) == 1
    assert report.notes == {"images without a label file, left out": 2}


def test_images_that_share_a_label_file_are_noted(tmp_path):
    images, labels = folder_of(tmp_path, ["a", "b"])
    image(images / "a.jpg")
    records, report = read_folder("icdar", images, labels, "x")
    assert len(records) == 3
    assert report.notes == {"images that share a label file": 1}


ODD_NAMES = ["²", "²3", "٣", "3", "中文 ½", "n" * 248, "two\nlines", " a ", "a,b;'\"<&>", "%s{}"]


def test_odd_names_are_read_and_converted(tmp_path):
    images = tmp_path / "images"
    for stem in ODD_NAMES:
        image(images / f"{stem}.png")
        # A label with a prefix would not fit the longest.
        text(tmp_path / f"labels/{stem}.txt", f"{QUAD},Joy\n")
    records, report = read_folder("icdar", images, tmp_path / "labels", "x")
    assert len(records) == len(ODD_NAMES)
    assert not report.dropped
    for form in ("icdar", "yolo-obb", "labelme", "coco"):
        out = tmp_path / form
        assert convert_dataset(records, out, form).images == len(ODD_NAMES)
        labels = out / ("labels.json" if form == "coco" else "labels")
        back, report = read_folder(form, out / "images", labels, "x")
        assert len(back) == len(ODD_NAMES)
        assert all(len(record["annotations"]) == 1 for record in back)
        assert not report.dropped


def test_reports_show_odd_names_on_one_line():
    report = ReadReport("x")
    report.count(report.notes, "fault", "two\nlines\udcff")
    assert report.examples["fault"] == ["two\\nlines\\udcff"]
    json.dumps(report.as_dict(), ensure_ascii=False).encode()


def test_links_to_nowhere_are_missing_images_and_folders_none(tmp_path):
    (tmp_path / "folder.png").mkdir()
    image(tmp_path / "a.png")
    assert list_images([tmp_path], "") == [tmp_path / "a.png"]
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    assert list_images([tmp_path], "") == [tmp_path / "a.png", tmp_path / "b.png"]
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "b.png")


def test_plain_batches_name_a_broken_image(tmp_path):
    from vlpt_d2.config import get_cfg

    image(tmp_path / "a.jfif", format="JPEG")
    (batch,) = image_batches(get_cfg(), str(tmp_path), size=32)
    assert batch.shape == (1, 3, 32, 32)
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    with pytest.raises(image_io.CorruptImageError, match=r"b\.png"):
        list(image_batches(get_cfg(), str(tmp_path), size=32))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_points_turn_with_their_image(tmp_path, orientation):
    """The pixel that is marked in the file is where its point is turned to, in any format."""
    stored = np.zeros((5, 9), np.uint8)
    stored[1, 6] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.png", "a.tif"):
        Image.fromarray(stored).save(tmp_path / name, exif=exif)
        header = read_header(tmp_path / name)
        assert header == ImageHeader((5, 9), orientation)
        shown = image_io.read_image(tmp_path / name, name)
        assert shown.shape[:2] == header.shown
        ((x, y),) = header.turn(np.array([[6.5, 1.5]]))
        assert shown[int(y), int(x), 0] == 255
