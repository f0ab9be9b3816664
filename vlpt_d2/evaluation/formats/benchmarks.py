"""How each benchmark names its files and writes them.

Ground truth is read by the readers of :mod:`vlpt_d2.data.datasets`, result files by
:mod:`~.results`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...data.datasets.ctw1500 import read_ctw1500_file
from ...data.datasets.icdar2013 import read_icdar2013_file
from ...data.datasets.icdar2015 import read_quad_file
from ...data.datasets.msra_td500 import read_msra_file
from ...data.datasets.report import ReadReport
from ...data.datasets.text_annotations import TextAnnotation
from ...data.datasets.total_text import read_total_text_file
from .results import ParseResult, parse_ctw1500, parse_polygon, parse_quad, parse_rectangle

__all__ = ["FORMATS", "FileFormat"]


@dataclass(frozen=True)
class FileFormat:
    """The files of a benchmark.

    Attributes:
        name: for ``--format`` and messages.
        gt: names of ground truth files; the group names the image.
        dt: names of result files, likewise.
        gt_example: such a name, for messages.
        dt_example: likewise.
        read_gt: reads a ground truth file.
        parse_dt: reads a line of a result file.
        is_ignored: the benchmark's don't-care mark of a text.
        order: "xy" or "yx", which coordinate of a pair comes first in result files.
        numbered: whether images are numbers, written with any number of leading zeros.
    """

    name: str
    gt: re.Pattern[str]
    dt: re.Pattern[str]
    gt_example: str
    dt_example: str
    read_gt: Callable[[Path, ReadReport], list[TextAnnotation]]
    parse_dt: ParseResult
    is_ignored: Callable[[TextAnnotation], bool]
    order: str = "xy"
    numbered: bool = False

    def image(self, name: str, pattern: re.Pattern[str]) -> str | None:
        """The image that a file belongs to; None if its name does not fit."""
        match = pattern.fullmatch(name)
        if match is None:
            return None
        # CTW1500 writes 1001.txt and 0001001.txt for one image.
        return (match[1].lstrip("0") or "0") if self.numbered else match[1]


# DOTALL: a name may hold a line end.
_GT_TXT, _RES_TXT = (re.compile(rf"{kind}_(.+)\.txt", re.DOTALL) for kind in ("gt", "res"))
FORMATS: dict[str, FileFormat] = {
    file_format.name: file_format
    for file_format in (
        FileFormat(
            "icdar2015",
            _GT_TXT,
            _RES_TXT,
            "gt_img_1.txt",
            "res_img_1.txt",
            read_quad_file,
            parse_quad,
            lambda text: text.ignore,
        ),
        FileFormat(
            "icdar2017",
            _GT_TXT,
            _RES_TXT,
            "gt_img_1.txt",
            "res_img_1.txt",
            lambda path, report: read_quad_file(path, report, script=True),
            parse_quad,
            lambda text: text.ignore,
        ),
        FileFormat(
            "icdar2013",
            _GT_TXT,
            _RES_TXT,
            "gt_img_1.txt",
            "res_img_1.txt",
            read_icdar2013_file,
            parse_rectangle,
            lambda text: text.ignore,
        ),
        FileFormat(
            "ctw1500",
            re.compile(r"([0-9]+)\.(?:txt|xml)"),
            re.compile(r"([0-9]+)\.txt"),
            "0001001.txt",
            "0001001.txt",
            read_ctw1500_file,
            parse_ctw1500,
            # The benchmark ignores no line, whatever its transcription.
            lambda text: False,
            numbered=True,
        ),
        FileFormat(
            "totaltext",
            re.compile(r"(?:poly_)?gt_img([0-9]+)\.(?:mat|txt)"),
            re.compile(r"img([0-9]+)\.txt"),
            "poly_gt_img1.mat",
            "img1.txt",
            read_total_text_file,
            parse_polygon,
            lambda text: text.extra.get("orientation") == "#",
            order="yx",
        ),
        FileFormat(
            "td500",
            re.compile(r"(.+)\.gt", re.DOTALL),
            re.compile(r"(.+)\.txt", re.DOTALL),
            "IMG_0059.gt",
            "IMG_0059.txt",
            read_msra_file,
            parse_quad,
            lambda text: text.ignore,
        ),
    )
}
