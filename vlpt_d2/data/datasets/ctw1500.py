"""Reader of SCUT-CTW1500: text lines as polygons of 14 points, in each of its formats.

Formats (Yuliang-Liu/Curve-Text-Detector, data/README.md), distinguished by their content:

- offsets, ``0001.txt`` (first release): 32 integers per line, xmin, ymin, xmax, ymax, then 14
  pairs of offsets from (xmin, ymin);
- XML, ``0001.xml`` (training annotations of 2020): ``<box>`` with ``<label>`` and ``<segs>`` of 28
  absolute integers;
- points, ``0001001.txt`` (test annotations of 2020): 28 absolute integers, then ``,####`` and the
  transcription. Bare 28 integers are read too, and the mark that Yuliang-Liu/TIoU-metric appends
  to them (``,CARE``).

A transcription ``###`` (Chinese text) is to be ignored in end-to-end evaluation alone: detection
counts every line, so none is a don't-care region here.

The first seven points run along one side of the line, the last seven back along the other.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np

from .dataset import IMAGES, TextDataset, flat_archive
from .file_format import FileFormat, parse_polygon, write_polygon
from .ground_truth import (
    GroundTruthError,
    TextAnnotation,
    float_fields,
    parse_lines,
    read_folders,
    read_text,
    shown,
)
from .report import ReadReport, ReadResult

__all__ = ["parse_ctw1500_line", "read_ctw1500", "read_ctw1500_file"]

_TREE = """expected, for SCUT-CTW1500, under DETECTRON2_DATASETS:
  ctw1500/
    train/text_image/             0001.jpg ... 1000.jpg
    train/text_label_curve/       0001.txt ..., or train/ctw1500_train_labels/ with 0001.xml ...
    test/text_image/              1001.jpg ... 1500.jpg
    test/text_label_circum/       1001.txt ..., or test/gt_ctw1500/ with 0001001.txt ...
datasets/README.md lists where to get them."""
_LABEL_FOLDERS = {
    "train": ("text_label_curve", "ctw1500_train_labels"),
    "test": ("text_label_circum", "text_label_curve", "gt_ctw1500"),
}
_EXPECTED = "expected 28 coordinates with ,####text, or 4 coordinates and 28 offsets"
_ESCAPED = re.compile(r"&(?!(?:#\d+|#x[0-9a-fA-F]+|amp|lt|gt|quot|apos);)")


def read_ctw1500(root: str | Path, split: str, name: str = "ctw1500") -> ReadResult:
    """Read a split (:attr:`.dataset.TextDataset.read`).

    Of several label folders those of the first release are read, by which detection is measured;
    the later ones differ a little and have transcriptions.
    """
    root = Path(root) / split
    folders = [root / folder for folder in _LABEL_FOLDERS[split]]
    labels = next((f for f in folders if f.is_dir()), folders[0])

    def candidates(image: Path) -> list[Path]:
        stem = image.stem
        return [labels / f"{s}" for s in (f"{stem}.xml", f"000{stem}.txt", f"{stem}.txt")]

    return read_folders([root / "text_image"], candidates, read_ctw1500_file, tree=_TREE, name=name)


def read_ctw1500_file(path: str | Path, report: ReadReport | None = None) -> list[TextAnnotation]:
    """Read a ground truth file of any of the formats.

    Raises:
        GroundTruthError: it cannot be read.
    """
    path = Path(path)
    content = read_text(path, report, ("gb18030",))
    if path.suffix.lower() == ".xml":
        return _read_xml(content, path)

    def annotation(line: str, number: int) -> TextAnnotation:
        return TextAnnotation(*parse_ctw1500_line(line), place=str(number))

    return parse_lines(content, path, annotation)


def parse_ctw1500_line(line: str) -> tuple[np.ndarray, str]:
    """Read one line of 32 integers, or of 28 with or without a transcription.

    Returns:
        (14, 2) float64 points in pixels, and the transcription, empty where there is none.

    Raises:
        ValueError: another number of fields, or no numbers.
    """
    head, marked, text = line.partition(",####")
    fields = head.strip().rstrip(",").split(",")
    if len(fields) == 32 and not marked:
        numbers = float_fields(fields, line, _EXPECTED)
        return np.array(numbers[:2]) + np.array(numbers[4:]).reshape(14, 2), ""
    if len(fields) == 29 and not marked:  # as the TIoU metric's copy of the test set is written
        text = fields.pop()
    if len(fields) != 28:
        raise ValueError(
            f"{shown(line)} has {len(fields)} numbers; {_EXPECTED}. Correct or remove the line."
        )
    return np.array(float_fields(fields, line, _EXPECTED)).reshape(14, 2), text


def _read_xml(content: str, path: Path) -> list[TextAnnotation]:
    from xml.etree import ElementTree

    # The files hold bare ampersands in labels; a declaration of another encoding is void, as the
    # text is decoded already.
    if "<!DOCTYPE" in content:
        raise GroundTruthError(
            f"{path}: declares a document type, which ground truth does not. Unpack it again."
        )
    content = _ESCAPED.sub("&amp;", re.sub(r"^\s*<\?xml[^>]*\?>", "", content))
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise GroundTruthError(
            f"{path}, line {error.position[0]}: no XML ({error}). Unpack the file again or "
            "correct it."
        ) from error
    texts = []
    for number, box in enumerate(root.iter("box"), 1):
        segments = (box.findtext("segs") or "").strip()
        try:
            points, _ = parse_ctw1500_line(segments)
        except ValueError as error:
            raise GroundTruthError(f"{path}, box {number}, segs: {error}") from error
        text = (box.findtext("label") or "").strip()
        texts.append(TextAnnotation(points, text, False, str(number)))
    return texts


def _parse_result(line: str, repairs: Counter[str]) -> tuple[np.ndarray, float | None]:
    """A polygon, or the form of the first release's ground truth.

    That is xmin, ymin, xmax, ymax, and 14 pairs of offsets from (xmin, ymin), which span the same
    box; 16 points in pixels do not.
    """
    points, score = parse_polygon(line, repairs)
    if len(points) != 16:
        return points, score
    low, high, ring = points[0], points[1], points[2:] + points[0]
    tolerance = np.maximum(2, 0.1 * (high - low))
    spans = np.abs(ring.min(axis=0) - low), np.abs(ring.max(axis=0) - high)
    if not ((high > low).all() and (np.maximum(*spans) <= tolerance).all()):
        return points, score
    repairs["box and offsets, as in the first release's ground truth"] += 1
    return ring, score


def _seven_digits(stem: str) -> str:
    return f"{int(stem):07d}.txt" if stem.isascii() and stem.isdecimal() else f"{stem}.txt"


FILE_FORMAT = FileFormat(
    "ctw1500",
    read_ctw1500_file,
    _parse_result,
    write_polygon,
    gt_name=re.compile(r"([0-9]+)\.(?:txt|xml)"),
    dt_name=re.compile(r"([0-9]+)\.txt"),
    gt_example="0001001.txt",
    dt_example="0001001.txt",
    write_name=_seven_digits,
    # The benchmark ignores no line, whatever its transcription.
    is_ignored=lambda text: False,
    numbered=True,
)


DATASET = TextDataset(
    "ctw1500",
    "SCUT-CTW1500",
    read_ctw1500,
    ("train", "test"),
    protocol="ctw1500",
    file_format=FILE_FORMAT,
    archives=(
        flat_archive(
            "train_images.zip",
            "train/text_image",
            IMAGES,
            "f1453464b764343040644464d5c0c4fa",
            other=["ctw1500_train_images.zip"],
        ),
        flat_archive(
            "ctw1500_train_labels.zip",
            "train/ctw1500_train_labels",
            "xml",
            "d9ba721b25be95c2d78aeb54f812a5b1",
            "0f78190864c1c40fe93ac1dd85fe84a2",
        ),
        flat_archive(
            "test_images.zip",
            "test/text_image",
            IMAGES,
            "79103fd77dfdd2c70ae6feb3a2fb4530",
            other=["ctw1500_test_images.zip"],
        ),
        flat_archive(
            "gt_ctw1500.zip",
            "test/gt_ctw1500",
            "txt",
            "7f650933a30cf1bcdbb7874e4962a52b",
            other=["ctw1500_test_labels.zip"],
        ),
    ),
)
