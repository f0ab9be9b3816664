"""Reader of YOLO's label files: oriented boxes, polygons and plain boxes.

``labels/<stem>.txt``, one line per text, coordinates as shares of the image's width and height:
``class x1 y1 x2 y2 x3 y3 x4 y4`` (YOLO-OBB), any number of points (segmentation), or ``class
x_centre y_centre width height`` (detection). There are no transcriptions.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np

from .ground_truth import (
    TextAnnotation,
    are_numbers,
    float_fields,
    make_record,
    parse_lines,
    read_text,
    shown,
)
from .image_files import list_images, note_unused_labels, read_header
from .report import ReadReport, ReadResult, check_report

__all__ = ["parse_yolo_line", "read_yolo"]

_EXPECTED = "expected class x1 y1 x2 y2 x3 y3 x4 y4, or class x_centre y_centre width height"
# A share beyond is not rounding or a text that leaves its image, but pixels.
_LARGEST_SHARE = 2.0


def read_yolo(image_dir: str | Path, labels: str | Path, name: str = "yolo") -> ReadResult:
    """Read a folder of images and one of label files.

    Args:
        image_dir: the folder of the images.
        labels: the folder of ``<stem>.txt``. As in YOLO, an image without one has no text; such
            images are counted.
        name: the dataset's name in the report.

    Returns:
        Dataset dicts in natural order of the images, ``image_id`` counted from 1.

    Raises:
        FileNotFoundError: a folder is missing or empty, or no image has a label file.
        GroundTruthError: a line is malformed, or holds pixels instead of shares.
    """
    labels = Path(labels)
    report = ReadReport(name)
    dataset_dicts = []
    images = list_images([image_dir], "expected a folder of images and one of label files", report)
    files = [labels / f"{path.stem}.txt" for path in images]
    if not any(map(os.path.isfile, files)):
        raise FileNotFoundError(f"{labels}: holds no label file of the images in {image_dir}.")
    for image_id, (path, file) in enumerate(zip(images, files), 1):
        header = read_header(path)
        texts = []
        if os.path.isfile(file):
            size = np.array(header.shown[::-1])
            texts = parse_lines(read_text(file, report), file, partial(_annotation, size))
        else:
            report.count(report.notes, "images without a label file", path.name)
        dataset_dicts.append(
            make_record(path, image_id, texts, file.name, report, header=header, frame="shown")
        )
    note_unused_labels(files, report)
    return dataset_dicts, check_report(report, str(labels))


def _annotation(size: np.ndarray, line: str, number: int) -> TextAnnotation:
    return TextAnnotation(parse_yolo_line(line) * size, place=str(number))


def parse_yolo_line(line: str) -> np.ndarray:
    """Read one line.

    Returns:
        (N, 2) float64 points as shares of width and height.

    Raises:
        ValueError: another number of fields, no numbers, or no shares.
    """
    fields = line.split()
    if len(fields) == 10 and are_numbers(fields[:8]) and not are_numbers(fields[8:9]):
        raise ValueError(
            f"{shown(line)}: corners in pixels, class and difficulty, as in DOTA and YOLOv5-OBB. "
            "Export as YOLOv8-OBB, which has shares of the image's size."
        )
    if len(fields) != 5 and (len(fields) < 7 or len(fields) % 2 == 0):
        raise ValueError(f"{shown(line)} has {len(fields)} fields; {_EXPECTED}. Correct the line.")
    numbers = np.array(float_fields(fields[1:], line, _EXPECTED))
    if np.abs(numbers).max() > _LARGEST_SHARE:
        raise ValueError(
            f"{shown(line)}: coordinates are shares of the image's size, from 0 to 1; these look "
            "like pixels. Divide them by width and height."
        )
    if len(numbers) == 4:
        (x, y), (w, h) = numbers.reshape(2, 2)
        numbers = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2 + [x, y]
    return numbers.reshape(-1, 2)
