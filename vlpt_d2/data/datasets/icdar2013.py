"""Reader of ICDAR2013 Challenge 2 (focused scene text).

Format (rrc.cvc.uab.es, ch=2, task 1): one file per image, one line per word, an axis-parallel
rectangle and the transcription in double quotes: ``158 128 412 182 "Footpath"`` in the training
set, ``38, 43, 920, 215, "Tiredness"`` in the test set. Within the quotes ``\\\\`` and ``\\"`` stand
for a backslash and a quote (the competition's ``rrc_evaluation_funcs.py``).

CVAT writes polygons into files of this format, too: ``20,10,118,30,110,70,12,50,"word"``. Lines
that begin with six numbers or more are read as such.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ...structures import is_dont_care
from .dataset import IMAGES, TextDataset, own_archive
from .file_format import FileFormat, parse_rectangle, write_rectangle
from .ground_truth import (
    TextAnnotation,
    are_numbers,
    float_fields,
    parse_lines,
    read_folders,
    read_text,
    shown,
    unquote,
)
from .report import ReadReport, ReadResult

__all__ = ["parse_rectangle_line", "read_icdar2013", "read_icdar2013_file"]

_TREE = """expected, for ICDAR2013, under DETECTRON2_DATASETS:
  icdar2013/
    Challenge2_Training_Task12_Images/   100.jpg ... 328.jpg (229)
    Challenge2_Training_Task1_GT/        gt_100.txt ...
    Challenge2_Test_Task12_Images/       img_1.jpg ... img_233.jpg
    Challenge2_Test_Task1_GT/            gt_img_1.txt ...
datasets/README.md lists where to get them."""
# Between two numbers, and before the transcription.
_SEPARATOR = re.compile(r"\s*+,\s*+|\s++")
_EXPECTED = 'expected left, top, right, bottom, "transcription"'


def read_icdar2013(root: str | Path, split: str, name: str = "icdar2013") -> ReadResult:
    """Read a split as rectangles (:attr:`.dataset.TextDataset.read`)."""
    prefix = Path(root) / f"Challenge2_{'Training' if split == 'train' else 'Test'}"
    return read_folders(
        [f"{prefix}_Task12_Images"],
        lambda image: [Path(f"{prefix}_Task1_GT") / f"gt_{image.stem}.txt"],
        read_icdar2013_file,
        tree=_TREE,
        name=name,
    )


def read_icdar2013_file(path: str | Path, report: ReadReport | None = None) -> list[TextAnnotation]:
    """Read one ground truth file of either split.

    Raises:
        GroundTruthError: a line is malformed.
    """

    def annotation(line: str, number: int) -> TextAnnotation:
        points, text = parse_rectangle_line(line)
        return TextAnnotation(points, text, is_dont_care(text), str(number))

    return parse_lines(read_text(path, report), path, annotation)


def parse_rectangle_line(line: str) -> tuple[np.ndarray, str]:
    """Read one line ``left top right bottom "transcription"``, with or without commas.

    Returns:
        (4, 2) float64 corners in pixels, clockwise from the top-left, or of a polygon its (N, 2)
        points; the transcription.

    Raises:
        ValueError: not four numbers, or pairs of numbers, and a transcription.
    """
    head, quote, rest = line.partition('"')
    numbers = _SEPARATOR.split(head.strip().rstrip(","))
    if quote and len(numbers) != 4 and are_numbers(numbers):
        if len(numbers) < 6 or len(numbers) % 2:
            raise ValueError(f"{shown(line)}; {_EXPECTED}. Correct or remove the line.")
        points = np.array(float_fields(numbers, line, _EXPECTED)).reshape(-1, 2)
        return points, unquote(quote + rest)
    fields = _SEPARATOR.split(line.lstrip(), 4)
    if not quote and len(numbers) >= 8 and are_numbers(numbers[:8]):
        fields = _SEPARATOR.split(line.lstrip(), 8)
    corners = np.array(float_fields(fields[:-1], line, _EXPECTED)).reshape(-1)
    if len(corners) not in (4, 8):
        raise ValueError(f"{shown(line)}; {_EXPECTED}. Correct or remove the line.")
    text = unquote(fields[-1].rstrip())
    if len(corners) == 8:
        return corners.reshape(4, 2), text
    left, top, right, bottom = corners
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), text


FILE_FORMAT = FileFormat(
    "icdar2013", read_icdar2013_file, parse_rectangle, write_rectangle, whole=True
)


DATASET = TextDataset(
    "icdar2013",
    "ICDAR2013",
    read_icdar2013,
    ("train", "test"),
    protocol="icdar2013",
    file_format=FILE_FORMAT,
    archives=(
        own_archive(
            "Challenge2_Training_Task12_Images.zip", IMAGES, "a443b9649fda4229c9bc52751bad08fb"
        ),
        own_archive("Challenge2_Training_Task1_GT.zip", "txt", "f3a425284a66cd67f455d389c972cce4"),
        own_archive(
            "Challenge2_Test_Task12_Images.zip", IMAGES, "af2e9f070c4c6a1c7bdb7b36bacf23e3"
        ),
        own_archive("Challenge2_Test_Task1_GT.zip", "txt", "3191c34cd6ac28b60f5a7db7030190fb"),
    ),
)
