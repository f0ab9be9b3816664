"""Reader of COCO's JSON format, as written by most labelling tools.

``images``: ``{"id", "file_name", "width", "height"}``; ``annotations``: ``{"image_id",
"segmentation", "bbox", "iscrowd"}`` and the text under any of the keys that are in use for it.
Categories do not matter: everything annotated is text. Two keys are ours: "characters", the corners
of the characters ([[x0, y0, ..., x3, y3], ...]), and "confidence", how sure these are, in [0, 1].

Tools differ in what they leave to the box: an empty ``segmentation`` (Label Studio, CVAT,
Roboflow), one of two corners, or an angle in ``attributes.rotation`` (CVAT: degrees, clockwise,
about the centre of the box). VIA writes flat lists of numbers, and some tools write ids as strings.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from PIL import Image

from ...structures import is_dont_care
from .ground_truth import GroundTruthError, TextAnnotation, make_record
from .json_files import box_points, declared_size, expect, json_points, read_id, read_json
from .report import ReadReport, ReadResult, check_report
from .shapes import mask_outline, rotate_points

__all__ = ["TEXT_KEYS", "read_coco_json"]

# Pixels; Pillow refuses larger images.
_LARGEST_MASK = 2 * cast(int, Image.MAX_IMAGE_PIXELS)
#: Where tools put the transcription, in the annotation or in its ``attributes``.
TEXT_KEYS = ("text", "utf8_string", "transcription", "caption", "rec_text")


def read_coco_json(image_dir: str | Path, labels: str | Path, name: str = "coco") -> ReadResult:
    """Read a COCO JSON file.

    A segmentation of several polygons is one text: its largest is kept and the rest counted. A
    run-length mask becomes its largest outline. Without a segmentation of three points the box is
    the polygon, turned by ``attributes.rotation``.

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
    content = read_json(labels, report)
    _refuse_other_formats(content, labels)
    images = expect(content.get("images"), list, f"{labels}, 'images'")
    # Keyed by strings: some tools write the ids of one side so.
    by_image: dict[str, list[TextAnnotation]] = {}
    sizes: dict[str, tuple[int, int] | None] = {}
    for number, entry in enumerate(images):
        place = f"{labels}, images[{number}]"
        image_id = str(read_id(expect(entry, dict, place).get("id"), f"{place}, 'id'"))
        if image_id in by_image:
            raise GroundTruthError(f"{place}: the id {image_id!r} occurs twice. Correct it.")
        by_image[image_id] = []
        sizes[image_id] = declared_size(entry, "height", "width", place)
    annotations = expect(content.get("annotations"), list, f"{labels}, 'annotations'")
    for number, annotation in enumerate(annotations):
        place = f"{labels}, annotations[{number}]"
        image_id = str(
            read_id(expect(annotation, dict, place).get("image_id"), f"{place}, 'image_id'")
        )
        if image_id not in by_image:
            report.count(report.dropped, "annotations of images that are not listed", place)
            continue
        by_image[image_id].append(_text(annotation, number, sizes[image_id], place, report))
    dataset_dicts = []
    paths: set[Path] = set()
    for number, entry in enumerate(images):
        place = f"{labels}, images[{number}]"
        name = expect(entry.get("file_name"), str, f"{place}, 'file_name'")
        image_id = str(entry["id"])
        path = _find_image(Path(image_dir), name, place, report)
        if path in paths:
            report.count(report.notes, "images that are listed twice", place)
        paths.add(path)
        dataset_dicts.append(
            make_record(
                path,
                entry["id"],
                by_image[image_id],
                Path(labels).name,
                report,
                declared=sizes[image_id],
            )
        )
    if not dataset_dicts:
        raise GroundTruthError(f"{labels}: has no images.")
    return dataset_dicts, check_report(report, str(labels))


def _refuse_other_formats(content: Any, labels: str | Path) -> None:
    """Raise an error that names the tool whose own format this is."""
    tool = None
    if isinstance(content, list) and content and isinstance(content[0], dict):
        tool = "Label Studio" if {"data", "annotations"} <= content[0].keys() else None
    elif isinstance(content, dict) and "images" not in content:
        entries = content.get("_via_img_metadata", content)
        values = entries.values() if isinstance(entries, dict) else ()
        if any(isinstance(value, dict) and "regions" in value for value in values):
            tool = "VIA"
        elif "shapes" in content:
            raise GroundTruthError(
                f"{labels}: is a file of labelme. Read its folder with the format labelme."
            )
    if tool is not None:
        raise GroundTruthError(
            f"{labels}: is in the own JSON format of {tool}. Export the annotations as COCO."
        )
    expect(content, dict, str(labels))


def _find_image(image_dir: Path, name: str, place: str, report: ReadReport) -> Path:
    """The image, also where the tool wrote folders of its own before the name."""
    path = image_dir / name
    bare = image_dir / re.split(r"[\\/]", name)[-1]
    if path == bare or os.path.isfile(path) or not os.path.isfile(bare):
        return path
    report.count(report.repaired, "folders in file_name that are not there, left out", place)
    return bare


def _text(
    annotation: dict[str, Any],
    number: int,
    size: tuple[int, int] | None,
    place: str,
    report: ReadReport,
) -> TextAnnotation:
    attributes = annotation.get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    points = _points(annotation, size, place, report)
    if (degrees := attributes.get("rotation")) not in (None, 0):
        points = _turned(points, annotation.get("bbox"), degrees, place, report)
    found = (
        source[key] for source in (annotation, attributes) for key in TEXT_KEYS if key in source
    )
    text = str(next(found, None) or "")
    ignore = annotation.get("iscrowd") or annotation.get("ignore") or is_dont_care(text)
    word = TextAnnotation(points, text, bool(ignore), f"annotations[{number}]")
    if annotation.get("characters"):
        word.characters = _characters(annotation["characters"], f"{place}, 'characters'")
    sure = annotation.get("confidence")
    if sure is not None:
        if isinstance(sure, bool) or not isinstance(sure, int | float) or not 0 <= sure <= 1:
            raise GroundTruthError(
                f"{place}: a confidence of {str(sure)[:40]!r} is no number from 0 to 1. Correct it."
            )
        word.extra["confidence"] = float(sure)
    return word


def _characters(value: Any, place: str) -> np.ndarray:
    quads = [json_points(quad, place) for quad in expect(value, list, place)]
    if any(len(quad) != 4 or not np.isfinite(quad).all() for quad in quads):
        raise GroundTruthError(
            f"{place}: a character is four points, [x0, y0, ..., x3, y3]. Correct or remove them."
        )
    return np.stack(quads)


def _points(
    annotation: dict[str, Any], size: tuple[int, int] | None, place: str, report: ReadReport
) -> np.ndarray:
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return _outline(segmentation, size, place)
    parts = []
    if segmentation:
        values = expect(segmentation, list, place)
        # One polygon without the list around it, as VIA writes it.
        flat = all(isinstance(value, int | float) for value in values)
        parts = [json_points(part, place) for part in ([values] if flat else values)]
    rings = [part for part in parts if len(part) >= 3]
    if not rings and annotation.get("bbox"):
        if any(len(part) for part in parts):
            report.count(report.repaired, "segmentation of two points: the box is taken", place)
        return _box(annotation["bbox"], size, place, report)
    if not rings:
        return parts[0] if parts else _box(annotation.get("bbox"), size, place, report)
    if len(parts) > 1:
        report.count(report.repaired, "several polygons: the largest is kept", place)
    return max(rings, key=lambda ring: cv2.contourArea(ring.astype(np.float32)))


def _box(box: Any, size: tuple[int, int] | None, place: str, report: ReadReport) -> np.ndarray:
    """Corners of a box x, y, width, height; what looks like another form is noted."""
    points = box_points(box, place)
    (x, y), (width, height) = points[0], points[2] - points[0]
    if width < 0 or height < 0:
        report.count(report.notes, "boxes of a negative width or height", place)
    if size is not None:
        leaves = x + width > size[1] or y + height > size[0]
        if leaves and x < width <= size[1] and y < height <= size[0]:
            kind = "boxes that leave their image, and would not as x0, y0, x1, y1"
            report.count(report.notes, kind, place)
    return points


def _turned(
    points: np.ndarray, box: Any, degrees: Any, place: str, report: ReadReport
) -> np.ndarray:
    """Points turned as in CVAT, where they are the box before it was turned."""
    if isinstance(degrees, bool) or not isinstance(degrees, int | float):
        raise GroundTruthError(f"{place}: a rotation of {str(degrees)[:60]!r}. Correct it.")
    if not np.isfinite(degrees) or not np.isfinite(points).all():
        raise GroundTruthError(f"{place}: a rotation or point that is not finite. Correct it.")
    upright = box_points(box, place) if box else points
    is_box = len(points) == 4 and all(np.abs(upright - p).max(axis=1).min() < 0.5 for p in points)
    if not is_box:
        report.count(report.notes, "polygons with a rotation, taken as turned already", place)
        return points
    return rotate_points(upright, degrees % 360)


def _outline(mask: dict[str, Any], size: tuple[int, int] | None, place: str) -> np.ndarray:
    """The largest outer outline of a run-length mask, (N, 2); empty for an empty mask.

    Args:
        mask: ``size`` (height, width) and ``counts``, the lengths of runs of 0 and 1 in turn, down
            one column after the other.
        size: (height, width) of the image where it is known.
        place: for messages.
    """
    try:
        height, width = (int(side) for side in mask["size"])
        counts = mask["counts"]
        runs = np.array(_runs(counts) if isinstance(counts, str) else counts, dtype=np.int64)
        # Checked before anything of that size is made.
        if min(height, width) < 0 or height * width > _LARGEST_MASK:
            raise ValueError(f"a size of {width}x{height}")
        if size is not None and size != (height, width):
            raise ValueError(f"a size of {width}x{height} for an image of {size[1]}x{size[0]}")
        if runs.ndim != 1 or (runs < 0).any() or int(runs.sum()) != height * width:
            raise ValueError("its runs do not fill its size")
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise GroundTruthError(f"{place}: no run-length mask ({error}). Correct it.") from error
    ends = np.cumsum(runs)
    marked = np.flatnonzero((np.arange(len(runs)) % 2 == 1) & (runs > 0))
    if not len(marked):
        return np.zeros((0, 2))
    # Only the columns that hold something.
    first = int(ends[marked[0] - 1]) // height
    last = int(ends[marked[-1]] - 1) // height
    values = (np.arange(len(runs)) % 2).astype(np.uint8)
    borders = np.clip(ends, first * height, (last + 1) * height) - first * height
    pixels = np.repeat(values, np.diff(borders, prepend=0))
    pixels = np.ascontiguousarray(pixels.reshape(last - first + 1, height).T)
    return mask_outline(pixels) + np.array([first, 0])


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
