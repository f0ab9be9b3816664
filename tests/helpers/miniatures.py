"""Two-image miniatures of the public datasets, in the exact original formats and trees.

``MINIATURES`` maps a registered name to a function that writes the tree below a folder, as
``DETECTRON2_DATASETS`` would name it. Every image is 96x64 (width x height) unless said otherwise,
and its first word is an upright rectangle, 10,20 to 50,40, that reads "Joy" where words are given.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from vlpt_d2.data.datasets.synthtext import index_synthtext

SIZE = (96, 64)
QUAD = "10,20,50,20,50,40,10,40"
#: x and y of a polygon of ten points around the same rectangle.
XS, YS = [10, 20, 30, 40, 50, 50, 40, 30, 20, 10], [20] * 5 + [40] * 5
#: The fourteen points of SCUT-CTW1500.
CTW = [[10 + 40 * i / 6, 20] for i in range(7)] + [[50 - 40 * i / 6, 40] for i in range(7)]
CTW = np.rint(CTW).astype(int)


def image(path: Path, size: tuple[int, int] = SIZE, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 120, 60)).save(path, **options)


def text(path: Path, content: str, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode(encoding))


def icdar2013(root: Path, split: str) -> None:
    stems, line = {
        "train": (("100", "101"), '10 20 50 40 "Joy"\r\n'),
        "test": (("img_1", "img_2"), '10, 20, 50, 40, "Joy"\r\n'),
    }[split]
    part = {"train": "Training", "test": "Test"}[split]
    for stem in stems:
        image(root / f"icdar2013/Challenge2_{part}_Task12_Images/{stem}.jpg")
        text(root / f"icdar2013/Challenge2_{part}_Task1_GT/gt_{stem}.txt", line)


def icdar2015(root: Path, split: str) -> None:
    folders = {
        "train": ("ch4_training_images", "ch4_training_localization_transcription_gt"),
        "test": ("ch4_test_images", "Challenge4_Test_Task1_GT"),
    }[split]
    # Twenty, so that the fixed hold-out of a tenth has images.
    for i in range(1, 21):
        image(root / f"icdar2015/{folders[0]}/img_{i}.jpg")
        content = f"\ufeff{QUAD},Joy\r\n60,10,80,10,80,30,60,30,###\r\n"
        text(root / f"icdar2015/{folders[1]}/gt_img_{i}.txt", content)


def icdar2017_mlt(root: Path, split: str) -> None:
    part = {"train": "training", "val": "validation", "test": "test"}[split]
    names = ("ts_img_00001.jpg", "ts_img_00002.jpg") if split == "test" else ("img_1", "img_2")
    for name in names:
        file = name if split == "test" else f"{name}.{'jpg' if name == 'img_1' else 'png'}"
        image(root / f"icdar2017_mlt/ch8_{part}_images/{file}")
        if split != "test":
            folder = f"icdar2017_mlt/ch8_{part}_localization_transcription_gt_v2"
            lines = f"{QUAD},Latin,Joy\n60,10,80,10,80,30,60,30,None,###\n"
            text(root / folder / f"gt_{name}.txt", lines)


def icdar2019_mlt(root: Path, split: str) -> None:
    folder = root / "icdar2019_mlt"
    for part in (1, 2):
        if split == "test":
            image(folder / f"TestImagesPart{part}/ts_img_0000{part}.jpg")
            continue
        image(folder / f"ImagesPart{part}/tr_img_0000{part}.jpg")
        text(folder / f"train_gt_t13/tr_img_0000{part}.txt", f"{QUAD},Latin,Joy\n")


def _rrc_texts() -> list[dict]:
    square = [[10, 20], [50, 20], [50, 40], [10, 40]]
    return [
        {"transcription": "Joy", "points": square, "language": "Latin", "illegibility": False},
        {"transcription": "###", "points": square, "language": "Latin", "illegibility": True},
    ]


def icdar2019_art(root: Path, split: str) -> None:
    folder = root / "icdar2019_art"
    prefix = "test" if split == "test" else "gt"
    for i in range(2):
        image(folder / f"{split}_images/{prefix}_{i}.jpg")
    if split == "train":
        labels = {f"gt_{i}": _rrc_texts() for i in range(2)}
        text(folder / "train_labels.json", json.dumps(labels))


def lsvt(root: Path, split: str) -> None:
    for i in range(2):
        image(root / f"lsvt/train_full_images_{i}/gt_{i}.jpg")
    labels = {f"gt_{i}": _rrc_texts() for i in range(2)}
    text(root / "lsvt/train_full_labels.json", json.dumps(labels))


def msra_td500(root: Path, split: str) -> None:
    for i in (1, 2):
        image(root / f"msra_td500/{split}/IMG_000{i}.JPG", format="JPEG")
        lines = "0 0 10 20 40 20 0.000000\n1 1 60 10 20 10 -1.570796\n"
        text(root / f"msra_td500/{split}/IMG_000{i}.gt", lines)


def hust_tr400(root: Path, split: str) -> None:
    for i in (1, 2):
        image(root / f"hust_tr400/{i}.jpg")
        text(root / f"hust_tr400/{i}.gt", "0 0 10 20 40 20 0.000000\n")


def ustb_sv1k(root: Path, split: str) -> None:
    for i in (1, 2):
        stem = root / f"ustb_sv1k/{split}ing/000{i}"
        image(stem.with_suffix(".jpg"))
        lines = '0 0 10 20 40 20 0.000000 "Joy" 1\r\n1 1 60 10 20 10 -1.570796 "a b" 2\r\n'
        text(stem.with_suffix(".gt"), lines)


def total_text_mat(path: Path, rows: list[tuple], key: str = "polygt") -> None:
    """Write rows (xs, ys, text, orientation) as MATLAB cells, the way the originals hold them."""
    cells = np.empty((len(rows), 6), dtype=object)
    for cell, (xs, ys, word, orientation) in zip(cells, rows):
        cell[:] = (
            "x:",
            np.array([xs], np.int16),
            "y:",
            np.array([ys], np.int16),
            np.array([word]) if word else np.empty((0,), "U1"),
            np.array([orientation]) if orientation else np.empty((0,), "U1"),
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {key: cells})


def total_text(root: Path, split: str) -> None:
    part = split.capitalize()
    for i in (1, 2):
        image(root / f"total_text/Images/{part}/img{i}.jpg")
        rows = [(XS, YS, "Joy", "c"), ([60, 80, 80, 60], [10, 10, 30, 30], "#", "#")]
        path = root / f"total_text/Groundtruth/Polygon/{part}/poly_gt_img{i}.mat"
        total_text_mat(path, rows)


def ctw1500_xml(points: np.ndarray, label: str) -> str:
    segments = ",".join(map(str, points.ravel()))
    return (
        '<Annotations>\n    <image file="0001.jpg">\n'
        '        <box height="20" left="10" top="20" width="40">\n'
        f"            <label>{label}</label>\n            <segs>{segments}</segs>\n"
        '            <pts x="15" y="30" />\n            <pts x="40" y="30" />\n'
        "        </box>\n    </image>\n</Annotations>\n"
    )


def ctw1500(root: Path, split: str) -> None:
    folder = root / f"ctw1500/{split}"
    for i in (1, 2):
        stem = f"{'0' if split == 'train' else '1'}00{i}"
        image(folder / f"text_image/{stem}.jpg")
        if split == "train":
            text(folder / f"ctw1500_train_labels/{stem}.xml", ctw1500_xml(CTW, "Joy"))
        else:
            line = ",".join(map(str, CTW.ravel()))
            text(folder / f"gt_ctw1500/000{stem}.txt", f"{line},####Joy\n{line},#######\n")


def _characters(boxes: np.ndarray, words: list[str]) -> np.ndarray:
    """Boxes of the letters of words, split evenly, as charBB has them: 2x4xN, of one 2x4."""
    quads = []
    for (a, b, c, d), word in zip(np.asarray(boxes, float), words):
        for i in range(len(word)):
            low, high = i / len(word), (i + 1) / len(word)
            top, bottom = (b - a, c - d)
            quads.append([a + low * top, a + high * top, d + high * bottom, d + low * bottom])
    corners = np.reshape(quads, (-1, 4, 2)).transpose(2, 1, 0)
    return corners[:, :, 0] if corners.shape[2] == 1 else corners


def synthtext_gt(path: Path, entries: list[tuple[str, np.ndarray, list[str]]]) -> None:
    """Write gt.mat: name, (N, 4, 2) corners and lines of text of each image."""

    def cells(values: list[np.ndarray]) -> np.ndarray:
        row = np.empty((1, len(values)), dtype=object)
        row[0, :] = values
        return row

    # One word is 2x4, several are 2x4xN; lines are padded to the longest.
    boxes = [np.asarray(b, np.float32).transpose(2, 1, 0) for _, b, _ in entries]
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(
        path,
        {
            "charBB": cells([_characters(b, " ".join(ts).split()) for _, b, ts in entries]),
            "wordBB": cells([b[:, :, 0] if b.shape[2] == 1 else b for b in boxes]),
            "imnames": cells([np.array([name]) for name, _, _ in entries]),
            "txt": cells(
                [np.array([t.ljust(max(map(len, ts))) for t in ts]) for *_, ts in entries]
            ),
        },
        do_compression=True,
    )


def textocr(root: Path, split: str) -> None:
    folder = root / "textocr"
    labels: dict = {"imgs": {}, "anns": {}, "imgToAnns": {}}
    for i in (1, 2):
        key = f"0054c91397f2fe0{i}"
        size = {"width": SIZE[0], "height": SIZE[1]}
        file_name = f"{split if split == 'test' else 'train'}/{key}.jpg"
        labels["imgs"][key] = {"id": key, **size, "set": split, "file_name": file_name}
        image(folder / f"{'test' if split == 'test' else 'train'}_images/{key}.jpg")
        if split == "test":
            continue
        labels["imgToAnns"][key] = [f"{key}_1", f"{key}_2"]
        for number, word in ((1, "Joy"), (2, ".")):
            labels["anns"][f"{key}_{number}"] = {
                "id": f"{key}_{number}",
                "image_id": key,
                "bbox": [10.0, 20.0, 40.0, 20.0],
                "utf8_string": word,
                "points": [10.0, 20.0, 50.0, 20.0, 50.0, 40.0, 10.0, 40.0],
                "area": 800.0,
            }
    text(folder / f"TextOCR_0.1_{split}.json", json.dumps(labels))


def coco_text(root: Path, split: str) -> None:
    folder = root / "coco_text"
    labels: dict = {"cats": {}, "anns": {}, "imgs": {}, "imgToAnns": {}, "info": {}}
    number = 45346
    for part in ("train", "val", "test"):
        for i in (1, 2):
            key = {"train": 10, "val": 20, "test": 30}[part] + i
            file_name = f"COCO_train2014_{key:012d}.jpg"
            entry = {"id": key, "set": part, "file_name": file_name}
            labels["imgs"][str(key)] = {**entry, "width": SIZE[0], "height": SIZE[1]}
            image(folder / "train2014" / file_name)
            # The other sets' annotations are left out; the original has them in the same file.
            own = part == split != "test"
            labels["imgToAnns"][str(key)] = [number, number + 1] if own else []
            for legible in (True, False) if own else ():
                labels["anns"][str(number)] = {
                    "mask": [10.0, 20.0, 50.0, 20.0, 50.0, 40.0, 10.0, 40.0],
                    "class": "machine printed",
                    "bbox": [10.0, 20.0, 40.0, 20.0],
                    "image_id": key,
                    "id": number,
                    "language": "english" if legible else "not english",
                    "area": 800.0,
                    "legibility": "legible" if legible else "illegible",
                    **({"utf8_string": "Joy"} if legible else {}),
                }
                number += 1
    text(folder / "cocotext.v2.json", json.dumps(labels))


def synthtext(root: Path, split: str) -> None:
    square = np.array([[[10, 20], [50, 20], [50, 40], [10, 40]]])
    entries = [(f"{i}/ballet_106_{i}.jpg", square, ["Joy\n"]) for i in (1, 2)]
    for name, *_ in entries:
        image(root / "synthtext" / name)
    synthtext_gt(root / "synthtext/gt.mat", entries)
    index_synthtext(root / "synthtext", workers=1)


def _splits(write: Callable[[Path, str], None], *splits: str) -> dict[str, Callable]:
    name = write.__name__
    return {f"{name}_{split}": lambda root, split=split: write(root, split) for split in splits}


MINIATURES: dict[str, Callable[[Path], None]] = {
    **_splits(icdar2013, "train", "test"),
    **_splits(icdar2015, "train", "test"),
    "icdar2015_trainval_train": lambda root: icdar2015(root, "train"),
    "icdar2015_trainval_val": lambda root: icdar2015(root, "train"),
    **_splits(icdar2017_mlt, "train", "val", "test"),
    **_splits(icdar2019_mlt, "train", "test"),
    **_splits(icdar2019_art, "train", "test"),
    **_splits(lsvt, "train"),
    **_splits(msra_td500, "train", "test"),
    **_splits(hust_tr400, "train"),
    **_splits(ustb_sv1k, "train", "test"),
    **_splits(total_text, "train", "test"),
    **_splits(ctw1500, "train", "test"),
    **_splits(textocr, "train", "val", "test"),
    **_splits(coco_text, "train", "val", "test"),
    **_splits(synthtext, "train"),
    "synthtext_trainval_train": lambda root: synthtext(root, "train"),
}
#: Whose ground truth is not public.
WITHOUT_GROUND_TRUTH = {
    f"{name}_test"
    for name in ("icdar2017_mlt", "icdar2019_mlt", "icdar2019_art", "textocr", "coco_text")
}


def _own(write: Callable[[Path], None]) -> Callable[[Path], None]:
    def write_with_images(root: Path) -> None:
        for stem in ("a", "b"):
            image(root / f"images/{stem}.jpg")
        write(root)

    return write_with_images


def _own_coco(root: Path) -> None:
    # Three columns of twenty pixels.
    rle = {"size": [SIZE[1], SIZE[0]], "counts": [660, 20, 44, 20, 44, 20, 5336]}
    texts = [
        {"segmentation": [[10, 20, 50, 20, 50, 40, 10, 40]], "text": "Joy"},
        {
            "segmentation": [],
            "bbox": [10, 20, 40, 20],
            "attributes": {"text": "Joy", "rotation": 30.0},
        },
        {"segmentation": rle, "iscrowd": 1},
    ]
    content = {
        "images": [
            {"id": i, "file_name": f"{stem}.jpg", "width": SIZE[0], "height": SIZE[1]}
            for i, stem in enumerate("ab")
        ],
        "annotations": [
            {"id": 3 * i + j, "image_id": i, "category_id": 1, **t}
            for i in range(2)
            for j, t in enumerate(texts)
        ],
        "categories": [{"id": 1, "name": "text"}],
    }
    text(root / "labels.json", json.dumps(content))


def _own_labelme(root: Path) -> None:
    square = [[10, 20], [50, 20], [50, 40], [10, 40]]
    mask = io.BytesIO()
    Image.new("1", (41, 21), 1).save(mask, "PNG")
    for stem in ("a", "b"):
        shapes = [
            {"label": "Joy", "points": square, "shape_type": "polygon", "flags": {}},
            {"label": "###", "points": [[10, 20], [50, 40]], "shape_type": "rectangle"},
            {"label": "Joy", "points": [[30, 30], [40, 30]], "shape_type": "circle"},
            {
                "label": "text",
                "description": "Joy",
                "points": [[10, 20], [50, 40]],
                "shape_type": "mask",
                "mask": base64.b64encode(mask.getvalue()).decode(),
            },
        ]
        size = {"imageHeight": SIZE[1], "imageWidth": SIZE[0], "imageData": None}
        content = {"version": "5.0", "shapes": shapes, "imagePath": f"{stem}.jpg", **size}
        text(root / f"labels/{stem}.json", json.dumps(content))


def _own_lines(name: str, *lines: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        for stem in ("a", "b"):
            text(root / "labels" / name.format(stem), "".join(f"{line}\n" for line in lines))

    return write


#: Labels of the user's own: name -> format, where the labels are below the folder, and what writes
#: them with their two images.
OWN: dict[str, tuple[str, str, Callable[[Path], None]]] = {
    name: (form, labels, _own(write))
    for name, form, labels, write in (
        ("coco", "coco", "labels.json", _own_coco),
        ("labelme", "labelme", "labels", _own_labelme),
        (
            "yolo-obb",
            "yolo-obb",
            "labels",
            _own_lines("{}.txt", "0 .1 .3 .5 .3 .5 .6 .1 .6", "0 .3 .5 .4 .3"),
        ),
        (
            "ctw1500-offsets",
            "ctw1500",
            "labels",
            _own_lines("{}.txt", ",".join(map(str, [10, 20, 50, 40, *(CTW - [10, 20]).ravel()]))),
        ),
        (
            "icdar",
            "icdar",
            "labels",
            _own_lines("gt_{}.txt", f'{QUAD},"Joy"', "10,20,30,18,50,20,50,40,30,42,10,40,Joy"),
        ),
        (
            "icdar2013-polygons",
            "icdar2013",
            "labels",
            _own_lines("gt_{}.txt", '10 20 50 40 "Joy"', f'{QUAD},"Joy"'),
        ),
        (
            "total-text",
            "total-text",
            "labels",
            _own_lines(
                "poly_gt_{}.txt",
                "x: [[10 50 50 10]], y: [[20 20 40 40]], ornt: [u'c'], transcriptions: [u'Joy']",
                "x: [[60 80 80 60]], y: [[10 10 30 30]], ornt: [u'#'], transcriptions: [u'#']",
            ),
        ),
    )
}
