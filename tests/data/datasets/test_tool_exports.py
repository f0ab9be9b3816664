"""Exports of labelling tools in miniature, in the form that each tool documents or writes.

Every image is 200x100 (width x height), and every word is in the box 20,10 to 120,60 unless said
otherwise. Where a tool has no form that is read here, the message names the one to export.
"""

import base64
import io
import json

import numpy as np
import pytest
from helpers.miniatures import image, text
from PIL import Image

from vlpt_d2.data.datasets.formats import read_folder
from vlpt_d2.data.datasets.ground_truth import GroundTruthError

SIZE = (200, 100)
QUAD = [20, 10, 120, 10, 120, 60, 20, 60]
BOX = [20, 10, 100, 50]
BOUNDS = [20, 10, 120, 60]
TURNED = [20, 10, 118, 30, 110, 70, 12, 50]


def read(folder, form, labels, content, name="a.jpg"):
    image(folder / "images" / name, SIZE)
    if not isinstance(content, str):
        content = json.dumps(content)
    text(folder / labels, content)
    where = folder / labels if form == "coco" else (folder / labels).parent
    dicts, report = read_folder(form, folder / "images", where, "own")
    return [d["annotations"] for d in dicts], report


def bounds(annotations):
    return [a["bbox"] for a in annotations]


def coco(*annotations, **entry):
    entry = {"id": 1, "file_name": "a.jpg", "width": SIZE[0], "height": SIZE[1], **entry}
    return {
        "info": {},
        "licenses": [],
        "categories": [{"id": 1, "name": "text"}],
        "images": [entry],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "area": 5000, "iscrowd": 0, **a}
            for i, a in enumerate(annotations, 1)
        ],
    }


def test_cvat_coco(tmp_path):
    attributes = {"occluded": False, "text": "UP"}
    content = coco(
        # A box of 100x40 about (100, 50), turned by 90 degrees: 40 wide and 100 high.
        {
            "segmentation": [],
            "bbox": [50.0, 30.0, 100.0, 40.0],
            "attributes": {**attributes, "rotation": 90.0},
        },
        {"segmentation": [], "bbox": BOX, "attributes": {**attributes, "rotation": 0.0}},
        {"segmentation": [QUAD], "bbox": BOX, "attributes": attributes},
        # A polygon that is not an upright box is kept as it is.
        {"segmentation": [TURNED], "bbox": BOX, "attributes": {**attributes, "rotation": 30.0}},
    )
    (words,), report = read(tmp_path, "coco", "labels.json", content)
    # The first corner of the text, top-left before, is top-right now.
    assert words[0]["segmentation"][0] == pytest.approx([120, 0, 120, 100, 80, 100, 80, 0])
    assert bounds(words[1:3]) == [BOUNDS, BOUNDS]
    assert words[3]["segmentation"] == [TURNED]
    assert {a["text"] for a in words} == {"UP"}
    assert report.notes == {"polygons with a rotation, taken as turned already": 1}


def test_characters_are_scaled_and_turned_with_their_image(tmp_path):
    quads = [[20, 10, 70, 10, 70, 60, 20, 60], [70, 10, 120, 10, 120, 60, 70, 60]]
    word = {"segmentation": [QUAD], "text": "on", "characters": quads, "confidence": 0.5}
    ((found,),), _ = read(tmp_path, "coco", "labels.json", coco(word, width=400, height=200))
    assert found["characters"] == [[v / 2 for v in quad] for quad in quads]
    assert found["segmentation"] == [[v / 2 for v in QUAD]] and found["confidence"] == 0.5
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", SIZE).save(tmp_path / "images/b.jpg", exif=exif)
    content = coco(word, file_name="b.jpg", width=None, height=None)
    ((found,),), _ = read(tmp_path, "coco", "labels.json", content)
    assert found["characters"][0] == [180, 90, 130, 90, 130, 40, 180, 40]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("characters", [[1, 2, 3, 4, 5, 6]], "'characters': a character is four points"),
        ("characters", [[1, 2, 3, 4, 5, 6, 7, float("nan")]], "a character is four points"),
        ("characters", {"a": 1}, "'characters': expected a list"),
        ("confidence", 1.5, r"annotations\[0\]: a confidence of '1.5'"),
        ("confidence", "high", "a confidence of 'high'"),
    ],
)
def test_characters_that_are_none(tmp_path, key, value, message):
    with pytest.raises(GroundTruthError, match=message):
        read(tmp_path, "coco", "labels.json", coco({"segmentation": [QUAD], key: value}))


@pytest.mark.parametrize("degrees", [-30, 30, 390, 181.5])
def test_cvat_rotations_are_clockwise_about_the_centre(tmp_path, degrees):
    content = coco({"segmentation": [], "bbox": BOX, "attributes": {"rotation": degrees}})
    ((word,),), _ = read(tmp_path, "coco", "labels.json", content)
    ring = np.reshape(word["segmentation"][0], (-1, 2))
    assert ring.mean(axis=0) == pytest.approx([70, 35])
    along = ring[1] - ring[0]
    assert np.hypot(*along) == pytest.approx(100)
    # y points down, so a positive angle is clockwise.
    assert np.degrees(np.arctan2(along[1], along[0])) % 360 == pytest.approx(degrees % 360)


@pytest.mark.parametrize("degrees", ["90", True, float("nan"), float("inf"), [1]])
def test_rotations_that_are_none(tmp_path, degrees):
    content = coco({"segmentation": [], "bbox": BOX, "attributes": {"rotation": degrees}})
    with pytest.raises(GroundTruthError, match=r"annotations\[0\]: a rotation"):
        read(tmp_path, "coco", "labels.json", content)


def test_cvat_icdar_localisation(tmp_path):
    """Boxes as in ICDAR2013, polygons of any number of points with commas between."""
    lines = (
        '20.0 10.0 120.0 60.0 "HELLO"\n'
        '20.0,10.0,118.0,30.0,110.0,70.0,12.0,50.0,"wor,ld"\n\n'
        '20.0,10.0,70.0,5.0,120.0,10.0,120.0,60.0,20.0,60.0,"###"\n'
    )
    (words,), _ = read(tmp_path, "icdar2013", "gt/gt_a.txt", lines)
    assert [(a["text"], a["iscrowd"]) for a in words] == [("HELLO", 0), ("wor,ld", 0), ("###", 1)]
    assert bounds(words) == [BOUNDS, [12, 10, 118, 70], [20, 5, 120, 60]]


def test_label_studio_coco(tmp_path):
    """Folders in file_name, on Windows with its own separators; boxes without segmentation."""
    for name in ("images/a.jpg", "images\\a.jpg", "../../data/media/upload/1/a.jpg"):
        content = coco(
            {"segmentation": [], "bbox": BOX, "ignore": 0},
            {"segmentation": [QUAD], "bbox": BOX, "ignore": 0},
            file_name=name,
        )
        (words,), report = read(tmp_path, "coco", "labels.json", content)
        assert bounds(words) == [BOUNDS, BOUNDS]
        assert report.repaired == {"folders in file_name that are not there, left out": 1}


def test_label_studio_own_json_is_refused_in_words(tmp_path):
    value = {
        "x": 10,
        "y": 10,
        "width": 50,
        "height": 50,
        "rotation": 0,
        "rectanglelabels": ["Text"],
    }
    result = [{"type": "rectanglelabels", "original_width": 200, "value": value}]
    content = [{"id": 1, "data": {"ocr": "/data/a.jpg"}, "annotations": [{"result": result}]}]
    with pytest.raises(GroundTruthError, match=r"own JSON format of Label Studio\. Export .* COCO"):
        read(tmp_path, "coco", "labels.json", content)


def test_roboflow_coco(tmp_path):
    name = "a_jpg.rf.0123456789abcdef.jpg"
    content = coco(
        {"segmentation": [], "bbox": BOX},
        {"segmentation": [QUAD], "bbox": BOX},
        file_name=name,
        id=0,
        license=1,
        date_captured="2024-01-01T00:00:00+00:00",
        extra={"name": "a.jpg"},
    )
    for annotation in content["annotations"]:
        annotation["image_id"] = 0
    (words,), report = read(tmp_path, "coco", "images/_annotations.coco.json", content, name)
    assert bounds(words) == [BOUNDS, BOUNDS]
    assert not report.repaired and not report.notes


def test_roboflow_yolo_obb(tmp_path):
    shares = np.reshape(QUAD, (-1, 2)) / SIZE
    line = "0 " + " ".join(f"{v:.8f}" for v in shares.ravel())
    ((word,),), _ = read(tmp_path, "yolo-obb", "labels/a.txt", line + "\n")
    assert word["bbox"] == pytest.approx(BOUNDS, abs=1e-4)
    with pytest.raises(GroundTruthError, match=r"a\.txt, line 1: .*Export as YOLOv8-OBB"):
        read(tmp_path, "yolo-obb", "labels/a.txt", " ".join(map(str, QUAD)) + " text 0\n")


def test_via_coco(tmp_path):
    """Flat segmentations, and ids of images that are strings on one side."""
    content = coco(
        {"segmentation": QUAD, "bbox": BOX, "image_id": "1"},
        {"segmentation": TURNED, "bbox": [12, 10, 106, 60], "image_id": "1"},
    )
    (words,), _ = read(tmp_path, "coco", "labels.json", content)
    assert [a["segmentation"][0] for a in words] == [QUAD, TURNED]


@pytest.mark.parametrize("project", [False, True])
def test_via_own_json_is_refused_in_words(tmp_path, project):
    shape = {"name": "rect", "x": 20, "y": 10, "width": 100, "height": 50}
    region = {"shape_attributes": shape, "region_attributes": {"text": "HELLO"}}
    content = {
        "a.jpg1234": {
            "filename": "a.jpg",
            "size": 1234,
            "regions": [region],
            "file_attributes": {},
        }
    }
    if project:
        content = {"_via_settings": {}, "_via_img_metadata": content, "_via_attributes": {}}
    with pytest.raises(GroundTruthError, match=r"own JSON format of VIA\. Export .* COCO"):
        read(tmp_path, "coco", "labels.json", content)


@pytest.mark.parametrize(
    ("segmentation", "repaired"),
    [
        ([[]], {}),
        ([[20, 10, 120, 60]], {"segmentation of two points: the box is taken": 1}),
        (QUAD, {}),
        (None, {}),
        ([], {}),
    ],
)
def test_box_next_to_a_segmentation_of_nothing(tmp_path, segmentation, repaired):
    content = coco({"segmentation": segmentation, "bbox": BOX, "text": "HELLO"})
    ((word,),), report = read(tmp_path, "coco", "labels.json", content)
    assert (word["bbox"], word["text"]) == (BOUNDS, "HELLO")
    assert report.repaired == repaired


def test_one_image_listed_twice_is_noted(tmp_path):
    content = coco({"segmentation": [QUAD], "bbox": BOX})
    content["images"].append({**content["images"][0], "id": 2})
    words, report = read(tmp_path, "coco", "labels.json", content)
    assert [len(w) for w in words] == [1, 0]
    assert report.notes["images that are listed twice"] == 1
    content["images"][1]["id"] = "1"
    with pytest.raises(GroundTruthError, match="the id '1' occurs twice"):
        read(tmp_path, "coco", "labels.json", content)


@pytest.mark.parametrize("counts", ["runs", "full"])
def test_masks_larger_than_their_image_are_refused(tmp_path, counts):
    side = 16_384
    runs = {"runs": [side * side], "full": [0, side * side]}[counts]
    mask = {"size": [side, side], "counts": runs}
    for size in ({}, {"width": None, "height": None}):
        with pytest.raises(GroundTruthError, match="no run-length mask .a size of 16384x16384"):
            read(tmp_path, "coco", "labels.json", coco({"segmentation": mask}, **size))
    mask = {"size": [100, 100], "counts": [10_000]}
    with pytest.raises(GroundTruthError, match="a size of 100x100 for an image of 200x100"):
        read(tmp_path, "coco", "labels.json", coco({"segmentation": mask}))


def test_masks_anywhere_in_their_image(tmp_path):
    rng = np.random.default_rng(0)
    for _ in range(50):
        (x0, x1), (y0, y1) = (np.sort(rng.integers(0, side, 2)) for side in SIZE)
        mask = np.zeros(SIZE[::-1], np.uint8)
        mask[y0 : y1 + 1, x0 : x1 + 1] = 1
        flat = mask.T.ravel()
        runs = np.diff([0, *(np.flatnonzero(np.diff(flat)) + 1), flat.size]).tolist()
        runs = runs if flat[0] == 0 else [0, *runs]
        segmentation = {"size": list(mask.shape), "counts": runs}
        (words,), report = read(
            tmp_path, "coco", "labels.json", coco({"segmentation": segmentation})
        )
        if x0 < x1 and y0 < y1:
            assert bounds(words) == [[x0, y0, x1, y1]]
        else:
            assert sum(report.dropped.values()) == 1


def labelme(*shapes, **more):
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": [
            {
                "label": "text",
                "points": np.reshape(QUAD, (-1, 2)).tolist(),
                "shape_type": "polygon",
                "flags": {},
                "group_id": None,
                "description": "HELLO",
                "mask": None,
                **shape,
            }
            for shape in shapes
        ],
        "imagePath": "a.jpg",
        "imageData": None,
        "imageHeight": SIZE[1],
        "imageWidth": SIZE[0],
        **more,
    }


def png(height, width):
    file = io.BytesIO()
    Image.new("1", (width, height), 1).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_labelme_shapes(tmp_path):
    content = labelme(
        {},
        {"shape_type": "rectangle", "points": [[120, 60], [20, 10]]},
        {"shape_type": "oriented_rectangle", "points": np.reshape(TURNED, (-1, 2)).tolist()},
        {"shape_type": "mask", "points": [[20, 10], [120, 60]], "mask": png(51, 101)},
        {"shape_type": "circle", "points": [[100, 50], [140, 50]]},
        {"shape_type": "linestrip"},
        {"shape_type": "points"},
    )
    (words,), report = read(tmp_path, "labelme", "labels/a.json", content)
    assert bounds(words[:2]) == [BOUNDS, BOUNDS]
    assert words[2]["segmentation"] == [TURNED]
    assert words[3]["bbox"] == BOUNDS
    assert words[4]["bbox"] == pytest.approx([60, 10, 140, 90])
    assert {a["text"] for a in words} == {"HELLO"}
    assert report.dropped == {"shapes that are no area": 2}


def test_x_anylabeling_shapes(tmp_path):
    more = {"score": None, "attributes": {}, "kie_linking": []}
    content = labelme(
        {**more, "shape_type": "rectangle", "difficult": False},
        {**more, "difficult": True},
        {
            **more,
            "shape_type": "rotation",
            "direction": 0.2,
            "points": np.reshape(TURNED, (-1, 2)).tolist(),
        },
        version="3.2.1",
    )
    (words,), report = read(tmp_path, "labelme", "labels/a.json", content)
    assert bounds(words[:2]) == [BOUNDS, BOUNDS]
    assert [a["iscrowd"] for a in words] == [0, 1, 0]
    assert words[2]["segmentation"] == [TURNED]
    assert not report.dropped


@pytest.mark.parametrize(
    ("mask", "fault"),
    [
        (png(5000, 5000), "5000x5000 pixels for a box of another size"),
        (png(10, 10), "10x10 pixels"),
        ("%%%", "mask that cannot be read"),
        (base64.b64encode(b"no image").decode(), "mask that cannot be read"),
        (None, "expected a string"),
    ],
)
def test_labelme_masks_that_are_none(tmp_path, mask, fault):
    shape = {"shape_type": "mask", "points": [[20, 10], [120, 60]], "mask": mask}
    with pytest.raises(GroundTruthError, match=rf"a\.json, shapes\[0\].*{fault}"):
        read(tmp_path, "labelme", "labels/a.json", labelme(shape))


def test_a_renamed_label_file_belongs_to_the_image_of_its_name(tmp_path):
    image(tmp_path / "images/b.jpg", SIZE)
    text(tmp_path / "labels/b.json", json.dumps(labelme({"description": "WORLD"})))
    read(tmp_path, "labelme", "labels/a.json", labelme({}))
    dicts, report = read_folder("labelme", tmp_path / "images", tmp_path / "labels", "own")
    found = [(d["file_name"][-5:], d["annotations"][0]["text"]) for d in dicts]
    assert found == [("a.jpg", "HELLO"), ("b.jpg", "WORLD")]
    assert report.repaired == {"imagePath of another image: that of its own name is read": 1}


def test_two_label_files_of_one_image_are_an_error(tmp_path):
    text(tmp_path / "labels/z.json", json.dumps(labelme({"description": "WORLD"})))
    with pytest.raises(GroundTruthError, match=r"z\.json: is the second label file of a\.jpg, af"):
        read(tmp_path, "labelme", "labels/a.json", labelme({}))


def test_a_labelme_file_read_as_coco_is_told(tmp_path):
    with pytest.raises(GroundTruthError, match="with the format labelme"):
        read(tmp_path, "coco", "labels/a.json", labelme({}))
