"""Reader of COCO's JSON format, as written by most labelling tools.

``images``: ``{"id", "file_name", "width", "height"}``; ``annotations``: ``{"image_id",
"segmentation", "bbox", "iscrowd"}`` and the text under any of the keys that are in use for it.
Categories do not matter: everything annotated is text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .json_files import box_points, declared_size, expect, json_points, read_id, read_json
from .records import DONT_CARE, Text, finish, make_record
from .report import ReadReport
from .text_files import GroundTruthError

__all__ = ["TEXT_KEYS", "read_coco_json"]

# Pixels; no image that is read here has more.
_LARGEST_MASK = 2**29
#: Where tools put the transcription, in the annotation or in its ``attributes``.
TEXT_KEYS = ("text", "utf8_string", "transcription", "caption", "rec_text")


def read_coco_json(
    image_dir: str | Path, labels: str | Path, name: str = "coco"
) -> tuple[list[dict[str, Any]], ReadReport]:
    """Read a COCO JSON file.

    A segmentation of several polygons is one text: its largest is kept and the rest counted. A
    run-length mask becomes its largest outline; without a segmentation the box is the polygon.

    Args:
        image_dir: the folder that ``file_name`` is relative to.
        labels: the JSON file.
        name: the dataset's name in the report.

    Returns:
        Dataset dicts in the order of the file, with its image ids; ``iscrowd`` is 1 for crowds,
        for ``ignore: 1``, and for ``###``.

    Raises:
        FileNotFoundError: the file or an image is missing.
        GroundTruthError: the file is not as it should be.
    """
    report = ReadReport(name)
    content = expect(read_json(labels, report), dict, str(labels))
    images = expect(content.get("images"), list, f"{labels}, 'images'")
    by_image: dict[Any, list[Text]] = {}
    for number, entry in enumerate(images):
        place = f"{labels}, images[{number}]"
        image_id = read_id(expect(entry, dict, place).get("id"), f"{place}, 'id'")
        if image_id in by_image:
            raise GroundTruthError(f"{place}: the id {image_id!r} occurs twice. Correct it.")
        by_image[image_id] = []
    annotations = expect(content.get("annotations"), list, f"{labels}, 'annotations'")
    for number, annotation in enumerate(annotations):
        place = f"{labels}, annotations[{number}]"
        image_id = read_id(expect(annotation, dict, place).get("image_id"), f"{place}, 'image_id'")
        if image_id not in by_image:
            report.count(report.dropped, "annotations of images that are not listed", place)
            continue
        by_image[image_id].append(_text(annotation, number, place, report))
    dataset_dicts = []
    for number, entry in enumerate(images):
        place = f"{labels}, images[{number}]"
        dataset_dicts.append(
            make_record(
                Path(image_dir) / expect(entry.get("file_name"), str, f"{place}, 'file_name'"),
                entry["id"],
                by_image[entry["id"]],
                Path(labels).name,
                report,
                declared=declared_size(entry, "height", "width", place),
            )
        )
    if not dataset_dicts:
        raise GroundTruthError(f"{labels}: has no images.")
    return dataset_dicts, finish(report, str(labels))


def _text(annotation: dict[str, Any], number: int, place: str, report: ReadReport) -> Text:
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        points = _outline(segmentation, place)
    elif segmentation:
        parts = [json_points(p, place) for p in expect(segmentation, list, place)]
        if len(parts) > 1:
            report.count(report.repaired, "several polygons: the largest is kept", place)
        points = max(parts, key=lambda p: cv2.contourArea(p.astype(np.float32)) if len(p) else 0.0)
    else:
        points = box_points(annotation.get("bbox"), place)
    attributes = annotation.get("attributes")
    sources = [annotation, attributes if isinstance(attributes, dict) else {}]
    found = (source[key] for source in sources for key in TEXT_KEYS if key in source)
    text = str(next(found, None) or "")
    ignore = bool(annotation.get("iscrowd")) or bool(annotation.get("ignore")) or text == DONT_CARE
    return Text(points, text, ignore, f"annotations[{number}]")


def _outline(mask: dict[str, Any], place: str) -> np.ndarray:
    """The largest outer outline of a run-length mask, (N, 2); empty for an empty mask."""
    try:
        height, width = (int(side) for side in mask["size"])
        counts = mask["counts"]
        runs = np.array(_runs(counts) if isinstance(counts, str) else counts, dtype=np.int64)
        # Checked before anything of that size is made; pycocotools would write past its end.
        if min(height, width) < 0 or height * width > _LARGEST_MASK:
            raise ValueError(f"a size of {width}x{height}")
        if runs.ndim != 1 or (runs < 0).any() or int(runs.sum()) != height * width:
            raise ValueError("its runs do not fill its size")
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise GroundTruthError(f"{place}: no run-length mask ({error}). Correct it.") from error
    pixels = np.repeat(np.arange(len(runs)) % 2, runs).astype(np.uint8)
    pixels = np.ascontiguousarray(pixels.reshape(width, height).T)
    outlines, _ = cv2.findContours(pixels, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not outlines:
        return np.zeros((0, 2))
    return max(outlines, key=cv2.contourArea).reshape(-1, 2).astype(np.float64)


def _runs(text: str) -> list[int]:
    """Lengths of the runs of a compressed mask (cocoapi, common/maskApi.c, rleFrString).

    Six bits a character from "0": five of the number, low ones first, and whether more follow;
    from the third number on, differences from the one before the last.
    """
    runs: list[int] = []
    number = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(f"{character!r} in its counts")
        number |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            number -= 1 << shift
        runs.append(number + runs[-2] if len(runs) > 2 else number)
        number = shift = 0
    if shift:
        raise ValueError("its counts are cut off")
    return runs
