"""Readers of TextOCR and COCO-Text, which share one JSON format.

Format: one object with ``imgs``, image id -> ``{"file_name", "width", "height", "set"}``; ``anns``,
annotation id -> annotation; and ``imgToAnns``, image id -> annotation ids, in reading order.

- TextOCR v0.1: ``points`` (flat, clockwise from the text's top-left) and ``utf8_string``, which is
  "." for what is illegible or not in Latin script.
- COCO-Text v2: ``mask`` (flat points), ``legibility``, ``language``, ``class``, and
  ``utf8_string`` of what is legible.

The ground truth of the test images is not public.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from .dataset import IMAGES, Archive, TextDataset, own_archive, single_file
from .ground_truth import GroundTruthError, TextAnnotation, make_record
from .image_files import list_images
from .json_files import (
    box_points,
    declared_size,
    expect,
    json_points,
    read_id,
    read_json,
)
from .report import LISTING, ReadReport, ReadResult, check_report

__all__ = ["read_coco_text", "read_textocr"]

_ILLEGIBLE = "."
_TREE_TEXTOCR = """expected, for TextOCR, under DETECTRON2_DATASETS:
  textocr/
    TextOCR_0.1_train.json, TextOCR_0.1_val.json, TextOCR_0.1_test.json
    train_images/    0054c91397f2fe05.jpg ... (training and validation)
    test_images/
datasets/README.md lists where to get them."""
_TREE_COCO_TEXT = """expected, for COCO-Text, under DETECTRON2_DATASETS:
  coco_text/
    cocotext.v2.json
    train2014/       COCO_train2014_000000000009.jpg ... (COCO's training images of 2014)
datasets/README.md lists where to get them."""


def read_textocr(root: str | Path, split: str, name: str = "textocr") -> ReadResult:
    """Read a split of TextOCR (:attr:`.dataset.TextDataset.read`); "test" has images only.

    The dicts have the order and the ids of the JSON file; ``iscrowd`` is 1 for ".".
    """
    root = Path(root)
    images = root / ("test_images" if split == "test" else "train_images")
    labels = root / f"TextOCR_0.1_{split}.json"
    return _read(labels, images, _textocr_text, name, _TREE_TEXTOCR, annotated=split != "test")


def read_coco_text(root: str | Path, split: str, name: str = "coco_text") -> ReadResult:
    """Read a split, "train", "val" or "test" (images only), of COCO-Text v2.

    ``iscrowd`` is 1 for illegible texts; ``"language"`` and ``"class"`` are kept, the latter as
    ``"script_class"``. See :func:`read_textocr`.
    """
    root = Path(root)
    return _read(
        root / "cocotext.v2.json",
        root / "train2014",
        _coco_text,
        name,
        _TREE_COCO_TEXT,
        annotated=split != "test",
        split=split,
    )


def _read(
    labels: Path,
    images: Path,
    text_of: Callable[[dict[str, Any], str], TextAnnotation],
    name: str,
    tree: str,
    *,
    annotated: bool,
    split: str | None = None,
) -> ReadResult:
    if not labels.is_file():
        raise FileNotFoundError(f"{labels}: no such file;\n{tree}")
    report = ReadReport(name)
    if LISTING.get():
        list_images([images], tree, report)
        return [], report
    content = expect(read_json(labels, report), dict, str(labels))
    entries, annotations, of_image = (
        expect(content.get(key, None if annotated else {}), dict, f"{labels}, {key!r}")
        for key in ("imgs", "anns", "imgToAnns")
    )
    dataset_dicts = []
    seen: set[int | str] = set()
    # Every annotation belongs to one image, of this split or another.
    left = set(annotations) if annotated else set()
    for key, entry in entries.items():
        place = f"{labels}, image {key}"
        entry = expect(entry, dict, place)
        ids = [
            str(read_id(number, f"{labels}, 'imgToAnns', {key}"))
            for number in expect(of_image.get(key, []), list, f"{labels}, 'imgToAnns', {key}")
        ]
        if split is not None and entry.get("set") not in ("train", "val", "test"):
            report.count(report.dropped, "images of no set", place)
        if split is not None and entry.get("set") != split:
            left.difference_update(ids)
            continue
        image_id = read_id(entry.get("id", key), f"{place}, 'id'")
        if image_id in seen:
            raise GroundTruthError(f"{place}: the id {image_id!r} occurs twice. Correct it.")
        seen.add(image_id)
        file_name = expect(entry.get("file_name"), str, f"{place}, 'file_name'")
        texts = None
        if annotated:
            texts = []
            for number in ids:
                here = f"{labels}, annotation {number}"
                text = text_of(expect(annotations.get(number), dict, here), here)
                if number not in left:
                    report.count(report.dropped, "annotations listed twice", here)
                    continue
                left.remove(number)
                texts.append(text)
        dataset_dicts.append(
            make_record(
                images / PurePosixPath(file_name).name,
                image_id,
                texts,
                labels.name,
                report,
                declared=declared_size(entry, "height", "width", place),
            )
        )
    for number in sorted(left):
        report.count(
            report.dropped,
            "annotations that imgToAnns gives to no image of imgs",
            f"{labels.name}, annotation {number}",
        )
    if not dataset_dicts:
        raise GroundTruthError(
            f"{labels}: has no image{f' of the set {split!r}' if split else ''}."
        )
    return dataset_dicts, check_report(report, labels.name)


def _textocr_text(annotation: dict[str, Any], place: str) -> TextAnnotation:
    text = expect(annotation.get("utf8_string", ""), str, f"{place}, 'utf8_string'")
    points = json_points(annotation.get("points"), place)
    return TextAnnotation(points, text, text == _ILLEGIBLE, place.rpartition(" ")[2])


def _coco_text(annotation: dict[str, Any], place: str) -> TextAnnotation:
    text = expect(annotation.get("utf8_string") or "", str, f"{place}, 'utf8_string'")
    points = json_points(annotation.get("mask", []), place)
    if len(points) < 3:
        points = box_points(annotation.get("bbox"), place)
    extra = {"language": annotation.get("language"), "script_class": annotation.get("class")}
    ignore = annotation.get("legibility") == "illegible"
    return TextAnnotation(points, text, ignore, place.rpartition(" ")[2], extra)


_PLACE = rf"((?:train|test)_images/[^/]+\.(?:{IMAGES}))"

DATASETS = (
    TextDataset(
        "textocr",
        "TextOCR",
        read_textocr,
        ("train", "val", "test"),
        archives=(
            Archive(
                "train_val_images.zip", ((_PLACE, r"\1"),), ("d12dd8098899044e4ae1af34db7ecfef",)
            ),
            Archive("test_images.zip", ((_PLACE, r"\1"),)),
            single_file("TextOCR_0.1_train.json", "0f8ba1beefd2ca4d08a4f82bcbe6cfb4"),
            single_file("TextOCR_0.1_val.json", "fb151383ea7b3c530cde9ef0d5c08347"),
            single_file("TextOCR_0.1_test.json"),
        ),
    ),
    TextDataset(
        "coco_text",
        "COCO-Text",
        read_coco_text,
        ("train", "val", "test"),
        archives=(
            own_archive("train2014.zip", IMAGES, "0da8c0bd3d6becc4dcb32757491aca88"),
            Archive(
                "cocotext.v2.zip",
                ((r"(cocotext\.v2\.json)", r"\1"),),
                ("5e39f7d6f2f11324c6451e63523c440c",),
            ),
        ),
    ),
)
