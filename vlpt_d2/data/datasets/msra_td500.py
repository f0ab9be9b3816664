"""Reader of MSRA-TD500 and of HUST-TR400, which has the same format.

Format (``pan_pp.pytorch dataset/pan/pan_msra.py``, ``PSENet eval/msra/eval.py``): ``IMG_0030.gt``
next to ``IMG_0030.JPG``, one line per text line, separated by spaces: ``index difficult x y w h
theta``. The rectangle x, y, w, h is axis-parallel before it is turned by theta (radians, clockwise
as seen, since y points down) about its centre. There are no transcriptions.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from .dataset import IMAGES, Archive, TextDataset
from .file_format import FileFormat, parse_quad, write_quad
from .ground_truth import TextAnnotation, float_fields, parse_lines, read_folders, read_text, shown
from .report import ReadReport, ReadResult

__all__ = ["parse_rotated_line", "read_hust_tr400", "read_msra_file", "read_msra_td500"]

_TREE = """expected, for MSRA-TD500 and HUST-TR400, under DETECTRON2_DATASETS:
  msra_td500/
    train/     IMG_0030.JPG, IMG_0030.gt ... (300 of each)
    test/      IMG_0059.JPG, IMG_0059.gt ... (200 of each)
  hust_tr400/  the images with their .gt files (400 of each)
datasets/README.md lists where to get them."""
_EXPECTED = "expected index difficult x y w h theta"


def read_msra_td500(root: str | Path, split: str, name: str = "msra_td500") -> ReadResult:
    """Read a split of MSRA-TD500 (:attr:`.dataset.TextDataset.read`).

    ``difficult`` (0 or 1) is kept in each annotation; difficult lines are ``iscrowd`` too, that is
    "don't care" in training, as in DB. What they count for in measuring, the protocols decide.
    """
    return _read(Path(root) / split, name)


def read_hust_tr400(root: str | Path, split: str = "train", name: str = "hust_tr400") -> ReadResult:
    """Read HUST-TR400, one folder without splits; see :func:`read_msra_td500`."""
    return _read(Path(root), name)


def read_msra_file(path: str | Path, report: ReadReport | None = None) -> list[TextAnnotation]:
    """Read one ``.gt`` file.

    Raises:
        GroundTruthError: a line is malformed.
    """

    def annotation(line: str, number: int) -> TextAnnotation:
        points, difficult = parse_rotated_line(line)
        return TextAnnotation(points, "", difficult, str(number), {"difficult": int(difficult)})

    return parse_lines(read_text(path, report), path, annotation)


def parse_rotated_line(line: str) -> tuple[np.ndarray, bool]:
    """Read one line ``index difficult x y w h theta``.

    Returns:
        (4, 2) float64 corners: those that were top-left, top-right, bottom-right and bottom-left
        before the turn; and whether the line is difficult.

    Raises:
        ValueError: not seven numbers, a difficulty other than 0 and 1, or an angle of more than a
            whole turn, as degrees are.
    """
    fields = line.split()
    if len(fields) != 7:
        raise ValueError(
            f"{shown(line)} has {len(fields)} fields; {_EXPECTED}. Correct or remove the line."
        )
    _, difficult, x, y, w, h, theta = float_fields(fields, line, _EXPECTED)
    if difficult not in (0, 1):
        raise ValueError(f"{shown(line)}: difficult is 0 or 1; {_EXPECTED}. Correct the line.")
    if abs(theta) > 2 * np.pi:
        raise ValueError(
            f"{shown(line)}: theta is in radians, so at most 2 pi; {_EXPECTED}. Correct the line."
        )
    corners = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2
    cos, sin = np.cos(theta), np.sin(theta)
    centre = np.array([x + w / 2, y + h / 2])
    return corners @ np.array([[cos, sin], [-sin, cos]]) + centre, bool(difficult)


def _read(folder: Path, name: str) -> ReadResult:
    return read_folders(
        [folder],
        lambda image: [image.with_suffix(".gt"), image.with_suffix(".GT")],
        read_msra_file,
        tree=_TREE,
        name=name,
    )


FILE_FORMAT = FileFormat(
    "td500",
    read_msra_file,
    parse_quad,
    write_quad,
    gt_name=re.compile(r"(.+)\.gt", re.DOTALL),
    dt_name=re.compile(r"(.+)\.txt", re.DOTALL),
    gt_example="IMG_0059.gt",
    dt_example="IMG_0059.txt",
    write_name="{}.txt".format,
    quads=True,
)


DATASETS = (
    TextDataset(
        "msra_td500",
        "MSRA-TD500",
        read_msra_td500,
        ("train", "test"),
        protocol="td500",
        file_format=FILE_FORMAT,
        archives=(
            Archive("MSRA-TD500.zip", ((rf"((?:train|test)/[^/]+\.(?:gt|{IMAGES}))", r"\1"),)),
        ),
    ),
    TextDataset(
        "hust_tr400",
        "HUST-TR400",
        read_hust_tr400,
        ("train",),
        protocol="td500",
        archives=(Archive("HUST-TR400.zip", ((rf"([^/]+\.(?:gt|{IMAGES}))", r"\1"),)),),
    ),
)
