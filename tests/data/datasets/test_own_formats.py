"""COCO, labelme, YOLO and folders of the other formats: "my own labels"."""

import json
import random

import numpy as np
import pycocotools.mask
import pytest
import shapely
from detectron2.data import DatasetCatalog, MetadataCatalog
from helpers.damage import damage
from helpers.miniatures import CTW, QUAD, SIZE, image, text, total_text_mat
from PIL import Image

from vlpt_d2.config import get_cfg
from vlpt_d2.data.datasets.coco_json import read_coco_json
from vlpt_d2.data.datasets.dataset import register_text_dataset
from vlpt_d2.data.datasets.formats import FORMATS, guess_format, read_folder, register_folder
from vlpt_d2.data.datasets.from_config import register_from_config
from vlpt_d2.data.datasets.ground_truth import GroundTruthError
from vlpt_d2.data.datasets.labelme import read_labelme
from vlpt_d2.data.datasets.rendered import register_rendered
from vlpt_d2.data.datasets.yolo import parse_yolo_line, read_yolo

SQUARE = [[10, 20], [50, 20], [50, 40], [10, 40]]
FLAT = [10, 20, 50, 20, 50, 40, 10, 40]


def coco(root, annotations, **entry):
    image(root / "images/a/b.jpg")
    entry = {"id": 7, "file_name": "a/b.jpg", "width": SIZE[0], "height": SIZE[1], **entry}
    annotations = [{"image_id": 7, "segmentation": [FLAT], **a} for a in annotations]
    content = {"images": [entry], "annotations": annotations, "categories": []}
    text(root / "labels.json", json.dumps(content))
    return root / "images", root / "labels.json"


def test_coco_texts_and_marks(tmp_path):
    annotations = [
        {"text": "a,b"},
        {"attributes": {"transcription": "in attributes"}},
        {"utf8_string": "###"},
        {"iscrowd": 1},
        {"ignore": 1, "text": "x"},
        {"segmentation": [], "bbox": [1, 2, 30, 4], "text": 12},
        {"segmentation": [[0, 0, 2, 0, 2, 2], FLAT]},
        {"image_id": 8},
    ]
    (record,), report = read_coco_json(*coco(tmp_path, annotations))
    assert record["image_id"] == 7
    assert record["file_name"].endswith("images/a/b.jpg")
    found = record["annotations"]
    assert [a["text"] for a in found] == ["a,b", "in attributes", "###", "", "x", "12", ""]
    assert [a["iscrowd"] for a in found] == [0, 0, 1, 1, 1, 0, 0]
    assert found[5]["segmentation"] == [[1, 2, 31, 2, 31, 6, 1, 6]]
    assert found[6]["segmentation"] == [FLAT]
    assert report.repaired == {"several polygons: the largest is kept": 1}
    assert report.dropped == {"annotations of images that are not listed": 1}


@pytest.mark.parametrize("compressed", [False, True])
def test_coco_masks(tmp_path, compressed):
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    mask[20:41, 10:51] = 1
    mask[0:2, 0:2] = 1
    rle = pycocotools.mask.encode(np.asfortranarray(mask))
    rle["counts"] = rle["counts"].decode()
    if not compressed:
        flat = mask.T.ravel()
        edges = np.flatnonzero(np.diff(flat)) + 1
        runs = np.diff([0, *edges, flat.size]).tolist()
        rle["counts"] = runs if flat[0] == 0 else [0, *runs]
    (record,), _ = read_coco_json(*coco(tmp_path, [{"segmentation": rle}]))
    ring = np.reshape(record["annotations"][0]["segmentation"][0], (-1, 2))
    assert set(map(tuple, ring)) == set(map(tuple, SQUARE))


@pytest.mark.parametrize("seed", range(5))
def test_compressed_masks_of_noise(tmp_path, seed):
    from vlpt_d2.data.datasets.coco_json import _runs

    mask = np.random.default_rng(seed).random((60, 90)) < 0.1 * (seed + 1)
    flat = mask.T.ravel()
    counts = pycocotools.mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    runs = _runs(counts)
    np.testing.assert_array_equal(np.repeat(np.arange(len(runs)) % 2, runs), flat)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segmentation": {"size": [64, 96], "counts": [5, 6]}}, "do not fill its size"),
        ({"segmentation": {"size": [64, 96], "counts": "~~"}}, "'~' in its counts"),
        ({"segmentation": {"counts": [1]}}, "no run-length mask"),
        ({"segmentation": {"size": [2**20, 2**20], "counts": [2**40]}}, "a size of 1048576x"),
        ({"segmentation": [[1, 2, 3]]}, r"annotations\[0\]: .* are not points"),
        ({"segmentation": None}, "None are not points"),
        ({"segmentation": None, "bbox": [1, 2]}, "is not a box"),
        ({"image_id": [7]}, "is not an id"),
    ],
)
def test_coco_malformed(tmp_path, change, message):
    with pytest.raises(GroundTruthError, match=message):
        read_coco_json(*coco(tmp_path, [change]))


def test_coco_sizes_that_differ(tmp_path):
    # The image was halved after it was annotated.
    folders = coco(tmp_path, [{}], width=192, height=128)
    (record,), report = read_coco_json(*folders)
    assert record["annotations"][0]["bbox"] == [5, 10, 25, 20]
    assert report.repaired == {"words scaled with their resized image": 1}
    with pytest.raises(GroundTruthError, match=r"is 96x64, its ground truth was made for 192x64"):
        read_coco_json(*coco(tmp_path, [{}], width=192, height=64))
    with pytest.raises(GroundTruthError, match="'height': expected a whole number"):
        read_coco_json(*coco(tmp_path, [{}], height="64"))
    folders = coco(tmp_path, [{}])
    (tmp_path / "images/a/b.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"b\.jpg: no such image, though labels\.json"):
        read_coco_json(*folders)


def test_coco_size_decides_the_frame_of_a_turned_image(tmp_path):
    folders = coco(tmp_path, [{}], width=64, height=96)  # as shown
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", SIZE).save(tmp_path / "images/a/b.jpg", exif=exif)
    (record,), report = read_coco_json(*folders)
    assert (record["height"], record["width"]) == (96, 64)
    assert record["annotations"][0]["bbox"] == [10, 20, 50, 40]
    (record,), report = read_coco_json(*coco_again(tmp_path, SIZE))
    assert record["annotations"][0]["bbox"] == [24, 10, 44, 50]
    assert report.repaired == {"words turned with their image (EXIF)": 1}


def coco_again(root, size):
    content = json.loads((root / "labels.json").read_text())
    content["images"][0] |= {"width": size[0], "height": size[1]}
    (root / "labels.json").write_text(json.dumps(content))
    return root / "images", root / "labels.json"


def labelme(path, shapes, image_path="b.jpg", **more):
    content = {"version": "5.0", "flags": {}, "shapes": shapes, "imagePath": image_path}
    size = {"imageHeight": SIZE[1], "imageWidth": SIZE[0], "imageData": None}
    text(path, json.dumps(content | size | more))


def test_labelme(tmp_path):
    image(tmp_path / "b.jpg")
    shapes = [
        {"label": "Joy", "points": SQUARE, "shape_type": "polygon", "flags": {}},
        {"label": "text", "description": "a b", "points": SQUARE, "shape_type": "polygon"},
        {"label": "box", "points": [[50, 40], [10, 20]], "shape_type": "rectangle"},
        {"label": "###", "points": SQUARE},
        {"label": "x", "points": SQUARE, "flags": {"difficult": True, "other": True}},
        {"label": "x", "points": SQUARE, "flags": {"difficult": False}},
        {"label": "text", "description": "", "points": SQUARE},
        {"label": "Joy", "description": "", "points": SQUARE},
        {"label": "dot", "points": [[1, 2]], "shape_type": "point"},
    ]
    labelme(tmp_path / "b.json", shapes, image_path="..\\photos\\b.jpg")
    (record,), report = read_labelme(tmp_path, tmp_path)
    found = record["annotations"]
    assert [a["text"] for a in found] == ["Joy", "a b", "box", "###", "x", "x", "", "Joy"]
    assert [a["iscrowd"] for a in found] == [0, 0, 0, 1, 1, 0, 0, 0]
    assert all(a["segmentation"] == [FLAT] for a in found)
    assert report.dropped == {"shapes that are no area": 1}
    assert report.examples["shapes that are no area"][0].endswith("b.json, shapes[8]")


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([{"label": "a", "points": [[1, 2]], "shape_type": "rectangle"}], "1 points, not two"),
        ([{"label": "a"}], r"b\.json, shapes\[0\]: None are not points"),
        ({"0": 1}, "'shapes': expected a list"),
    ],
)
def test_labelme_malformed(tmp_path, shapes, message):
    image(tmp_path / "b.jpg")
    labelme(tmp_path / "b.json", shapes)
    with pytest.raises(GroundTruthError, match=message):
        read_labelme(tmp_path, tmp_path)


def test_yolo(tmp_path):
    for name in "abc":
        image(tmp_path / f"images/{name}.jpg", size=(200, 100))
    lines = "0 0.05 0.2 0.25 0.2 0.25 0.4 0.05 0.4\n3 0.15 0.3 0.2 0.2\n0 0 0 1 0 1 1 .5 .5 0 1\n"
    text(tmp_path / "labels/a.txt", lines)
    text(tmp_path / "labels/b.txt", "")
    dicts, report = read_yolo(tmp_path / "images", tmp_path / "labels")
    expected = [10, 20, 50, 20, 50, 40, 10, 40]
    first, second, third = (a["segmentation"][0] for a in dicts[0]["annotations"])
    assert first == pytest.approx(expected)
    assert second == pytest.approx(expected)
    assert third == pytest.approx([0, 0, 200, 0, 200, 100, 100, 50, 0, 100])
    assert [len(d["annotations"]) for d in dicts] == [3, 0, 0]
    assert report.notes == {"images without a label file": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 10 20 50 20 50 40 10 40", "look like pixels"),
        ("0 0.1 0.2 0.3", "has 4 fields"),
        ("0 0.1 0.2 0.3 0.4 0.5 0.6 0.7", "has 8 fields"),
        ("0 0.1 0.2 0.3 nan", "not finite"),
    ],
)
def test_yolo_malformed(line, message):
    with pytest.raises(ValueError, match=message):
        parse_yolo_line(line)


def write_format(form, root):
    """One image, b.jpg, with the square for its only text; its labels."""
    labels = root / "labels"
    points = ",".join(map(str, CTW.ravel()))
    if form == "coco":
        text(
            root / "labels.json",
            json.dumps(
                {
                    "images": [{"id": 1, "file_name": "b.jpg"}],
                    "annotations": [{"image_id": 1, "segmentation": [FLAT], "text": "Joy"}],
                }
            ),
        )
        return root / "labels.json"
    if form == "total-text":
        total_text_mat(labels / "poly_gt_b.mat", [([10, 50, 50, 10], [20, 20, 40, 40], "Joy", "h")])
        return labels
    if form == "labelme":
        labelme(labels / "b.json", [{"label": "Joy", "points": SQUARE}])
        return labels
    name, line = {
        "icdar": ("gt_b.txt", f"{QUAD},Joy"),
        "icdar2013": ("gt_b.txt", '10, 20, 50, 40, "Joy"'),
        "icdar-mlt": ("gt_b.txt", f"{QUAD},Latin,Joy"),
        "ctw1500": ("000b.txt", f"{points},####Joy"),
        "msra-td500": ("b.gt", "0 0 10 20 40 20 0.0"),
        "yolo-obb": ("b.txt", "0 " + " ".join(str(v) for v in (np.array(SQUARE) / SIZE).ravel())),
    }[form]
    text(labels / name, line + "\n")
    return labels


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_registers(tmp_path, form):
    image(tmp_path / "images/b.jpg")
    labels = write_format(form, tmp_path)
    name = f"own_{form}"
    register_folder(name, form, tmp_path / "images", labels)
    try:
        (record,) = DatasetCatalog.get(name)
        assert MetadataCatalog.get(name).evaluator_type == "icdar2015"
    finally:
        DatasetCatalog.pop(name)
        MetadataCatalog.pop(name)
    (annotation,) = record["annotations"]
    assert annotation["bbox"] == pytest.approx([10, 20, 50, 40])
    assert annotation["text"] == ("" if form in ("msra-td500", "yolo-obb") else "Joy")
    with pytest.raises((FileNotFoundError, GroundTruthError)):
        read_folder(form, tmp_path / "images", tmp_path / "nowhere", "own")


def test_a_name_is_registered_once(tmp_path):
    for folder in ("first", "second"):
        image(tmp_path / folder / "images/b.jpg")
        write_format("icdar", tmp_path / folder)
    first, second = (
        ("icdar", tmp_path / f / "images", tmp_path / f / "labels") for f in ("first", "second")
    )
    register_folder("once", *first)
    try:
        register_folder("once", *first)  # as a config does that is read twice
        for again in ((*second,), (*first, "td500")):
            with pytest.raises(ValueError, match="a dataset 'once' is registered already"):
                register_folder("once", *again)
        with pytest.raises(ValueError, match="'icdar2015_train' is registered already"):
            register_folder("icdar2015_train", *first)
        with pytest.raises(ValueError, match="'once' is registered already"):
            register_text_dataset("once", lambda: [], "icdar2015")
        with pytest.raises(ValueError, match="'once' is registered already"):
            register_rendered("once")
        assert "first" in DatasetCatalog.get("once")[0]["file_name"]
    finally:
        DatasetCatalog.remove("once")
        MetadataCatalog.remove("once")
    register_folder("once", *second, "td500")
    assert "second" in DatasetCatalog.get("once")[0]["file_name"]
    assert MetadataCatalog.get("once").evaluator_type == "td500"
    DatasetCatalog.remove("once")
    MetadataCatalog.remove("once")


def test_unknown_format_is_told():
    with pytest.raises(KeyError, match="did you mean 'coco'"):
        read_folder("coc", ".", ".", "own")
    with pytest.raises(KeyError, match="no format"):
        register_folder("own", "voc", ".", ".")


@pytest.mark.parametrize("form", ["coco", "labelme", "yolo-obb"])
def test_damaged_labels_are_our_errors_or_sound_polygons(tmp_path, form):
    image(tmp_path / "images/b.jpg")
    labels = write_format(form, tmp_path)
    path = labels if labels.is_file() else next(labels.iterdir())
    content = path.read_bytes()
    rng = random.Random(form)
    errors = 0
    for _ in range(60):
        path.write_bytes(damage(content, rng))
        try:
            (record,), _ = read_folder(form, tmp_path / "images", labels, "own")
        except (GroundTruthError, FileNotFoundError):
            errors += 1
        else:
            for annotation in record["annotations"]:
                assert shapely.Polygon(np.reshape(annotation["segmentation"][0], (-1, 2))).is_valid
    assert 10 < errors < 60


@pytest.mark.parametrize(
    ("box", "note"),
    [
        ([10, 20, 40, 20], None),
        ([50, 40, -40, -20], "boxes of a negative width or height"),
        # As x0, y0, x1, y1 it ends inside the image; as x, y, width, height outside.
        ([SIZE[0] - 20, SIZE[1] - 10, SIZE[0] - 2, SIZE[1] - 2], "boxes that leave their image"),
    ],
)
def test_coco_boxes_of_another_form_are_noted(box, note, tmp_path):
    _, report = read_coco_json(*coco(tmp_path, [{"segmentation": [], "bbox": box}]), name="own")
    assert [kind.startswith(note) for kind in report.notes] == [True] if note else not report.notes


def test_folders_named_in_a_config_are_registered(tmp_path, monkeypatch):
    coco(tmp_path / "signs", [{"text": "exit", "bbox": [10, 20, 40, 20]}])
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    cfg = get_cfg()
    cfg.DATASETS.FOLDERS = [["config_signs", "coco", "signs/images", "signs/labels.json"]]
    register_from_config(cfg)
    (dataset_dict,) = DatasetCatalog.get("config_signs")
    assert dataset_dict["file_name"] == str(tmp_path / "signs/images/a/b.jpg")
    assert [a["text"] for a in dataset_dict["annotations"]] == ["exit"]


@pytest.mark.parametrize("absolute", [False, True])
def test_a_missing_folder_of_a_config_names_what_it_is_relative_to(absolute, tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    folder = str(tmp_path / "lost") if absolute else "lost"
    cfg = get_cfg()
    cfg.DATASETS.FOLDERS = [[f"lost_{absolute}", "icdar", folder, folder]]
    register_from_config(cfg)
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/lost: no such folder") as caught:
        DatasetCatalog.get(f"lost_{absolute}")
    told = f"(lost) start at DETECTRON2_DATASETS, which is {tmp_path}" in str(caught.value)
    assert told is not absolute


@pytest.mark.parametrize(
    "entry", ["signs", ["signs", "coco", "images"], ["signs", "png", "a", "b"]]
)
def test_a_folder_of_a_config_needs_its_four_parts(entry):
    cfg = get_cfg()
    cfg.DATASETS.FOLDERS = [entry]
    with pytest.raises(ValueError, match="NAME, FORMAT, IMAGES, LABELS"):
        register_from_config(cfg)


@pytest.mark.parametrize(
    "names, form",
    [
        (("a.jpg", "a.json"), "labelme"),
        (("a.jpg", "gt_a.txt", "b.TXT"), "icdar"),
        (("a.JPG", "a.gt"), "msra-td500"),
        (("a.json", "a.txt"), r"has \.json and \.txt files; name their format with --format"),
        (("a.jpg",), "has no label files"),
    ],
)
def test_a_format_is_guessed_by_suffix(tmp_path, names, form):
    for name in names:
        (tmp_path / name).touch()
    assert guess_format(tmp_path / names[0]) == "coco"
    if form in FORMATS:
        assert guess_format(tmp_path) == form
        return
    with pytest.raises(ValueError, match=form):
        guess_format(tmp_path)


def test_txt_files_without_a_comma_are_yolos(tmp_path):
    for name, content in (("a.txt", "\n"), ("b.txt", "0 .1 .2 .3 .4\n"), ("classes.txt", "a, b")):
        (tmp_path / name).write_text(content)
    assert guess_format(tmp_path) == "yolo-obb"


def test_the_folder_of_a_coco_file_is_no_labelmes(tmp_path):
    (tmp_path / "coco.json").write_text(json.dumps({"images": [], "annotations": []}))
    with pytest.raises(GroundTruthError, match=r"coco\.json: is a COCO file. Name it instead"):
        read_labelme(tmp_path, tmp_path)
