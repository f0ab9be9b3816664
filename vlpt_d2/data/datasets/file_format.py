"""The files of a benchmark: how its ground truth and results are named and written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .ground_truth import TextAnnotation, float_fields, shown
from .report import ReadReport

__all__ = [
    "FileFormat",
    "ParseResult",
    "is_ignored",
    "parse_polygon",
    "parse_quad",
    "parse_rectangle",
    "to_quad",
    "write_numbers",
    "write_polygon",
    "write_quad",
    "write_rectangle",
    "write_scored_quad",
]

# Pixels; a coordinate beyond is a broken number, and its products would overflow.
FARTHEST = 1e6

#: From a line without its end to points and confidence; raises ValueError. What was put right is
#: added to the counter, by kind.
ParseResult = Callable[[str, Counter[str]], tuple[np.ndarray, float | None]]


def is_ignored(text: TextAnnotation) -> bool:
    """The don't-care mark as in training."""
    return text.ignore


@dataclass(frozen=True)
class FileFormat:
    """The files of a benchmark. The first group of a file name's pattern names the image.

    Attributes:
        name: for ``--format`` and messages.
        read_gt: reads a ground truth file.
        parse_dt: reads a line of a result file.
        write_dt: writes one: from (N, 2) points and a confidence to a line.
        gt_name: names of ground truth files. DOTALL: a name may hold a line end.
        dt_name: names of result files.
        gt_example: such a name, for messages.
        dt_example: the same for result files.
        write_name: from an image's stem to the name of its result file.
        is_ignored: the benchmark's don't-care mark of a text.
        order: "xy" or "yx", which coordinate of a pair comes first in result files.
        numbered: whether images are numbers, written with any number of leading zeros.
        quads: whether results are quadrilaterals alone, with or without a confidence.
        quad_gt: whether ground truth lines are ``x1,y1,x2,y2,x3,y3,x4,y4,transcription``.
        whole: whether the benchmark's script reads whole pixels, where a protocol does not say.
        clockwise: whether its server insists on corners that run clockwise.
    """

    name: str
    read_gt: Callable[[Path, ReadReport], list[TextAnnotation]]
    parse_dt: ParseResult
    write_dt: Callable[[np.ndarray, float], str]
    gt_name: re.Pattern[str] = re.compile(r"gt_(.+)\.txt", re.DOTALL)
    dt_name: re.Pattern[str] = re.compile(r"res_(.+)\.txt", re.DOTALL)
    gt_example: str = "gt_img_1.txt"
    dt_example: str = "res_img_1.txt"
    write_name: Callable[[str], str] = "res_{}.txt".format
    is_ignored: Callable[[TextAnnotation], bool] = is_ignored
    order: str = "xy"
    numbered: bool = False
    quads: bool = False
    quad_gt: bool = False
    whole: bool = False
    clockwise: bool = False

    def image(self, name: str, pattern: re.Pattern[str]) -> str | None:
        """The image that a file belongs to; None if its name does not fit."""
        match = pattern.fullmatch(name)
        if match is None:
            return None
        # CTW1500 writes 1001.txt and 0001001.txt for one image.
        return (match[1].lstrip("0") or "0") if self.numbered else match[1]


def parse_quad(line: str, repairs: Counter[str]) -> tuple[np.ndarray, float | None]:
    """Read ``x1,y1,x2,y2,x3,y3,x4,y4`` with or without a confidence.

    Raises:
        ValueError: another number of fields, or no numbers.
    """
    expected = "expected x1,y1,x2,y2,x3,y3,x4,y4 with or without a confidence"
    fields = _fields(line, repairs)
    if len(fields) not in (8, 9):
        raise ValueError(f"{shown(line)} has {len(fields)} fields; {expected}. Correct the line.")
    return _points(fields[:8], line, expected), _score(fields[8:], line, expected)


def parse_rectangle(line: str, repairs: Counter[str]) -> tuple[np.ndarray, float | None]:
    """Read ``left,top,right,bottom``, or a quadrilateral, with or without a confidence.

    Raises:
        ValueError: another number of fields, no numbers, or sides in the wrong order.
    """
    expected = "expected left,top,right,bottom with or without a confidence"
    fields = _fields(line, repairs)
    if len(fields) in (8, 9):
        return parse_quad(line, Counter())
    if len(fields) not in (4, 5):
        raise ValueError(f"{shown(line)} has {len(fields)} fields; {expected}. Correct the line.")
    (left, top), (right, bottom) = _points(fields[:4], line, expected).tolist()
    if right < left or bottom < top:
        raise ValueError(
            f"{shown(line)}: right < left or bottom < top; {expected}. Correct the line."
        )
    points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return points, _score(fields[4:], line, expected)


def parse_polygon(line: str, repairs: Counter[str]) -> tuple[np.ndarray, float | None]:
    """Read any number of pairs of coordinates; one more number, in [0, 1], is a confidence.

    Raises:
        ValueError: fewer than three pairs, an odd coordinate, or no numbers.
    """
    expected = "expected pairs of coordinates, three or more, separated by commas"
    fields = _fields(line, repairs)
    count = len(fields) // 2 * 2
    if count < 6:
        raise ValueError(f"{shown(line)} has {len(fields)} fields; {expected}. Correct the line.")
    return _points(fields[:count], line, expected), _score(fields[count:], line, expected)


def to_quad(polygon: np.ndarray) -> np.ndarray:
    """Return four corners in whole pixels, clockwise as seen on the image (the server insists).

    Args:
        polygon: (N, 2) points; see :func:`~vlpt_d2.structures.quadrilateral`.

    Returns:
        (4, 2) int64.
    """
    from ...structures.quadrilateral import is_clockwise, quadrilateral

    points = quadrilateral(polygon)
    return np.rint(points if is_clockwise(points) else points[::-1]).astype(np.int64)


def write_numbers(values: np.ndarray) -> str:
    """Whole pixels, separated by commas."""
    return ",".join(map(str, np.rint(values).astype(np.int64).ravel().tolist()))


def write_quad(polygon: np.ndarray, score: float) -> str:
    """``x1,y1,x2,y2,x3,y3,x4,y4``, see :func:`to_quad`."""
    return write_numbers(to_quad(polygon))


def write_scored_quad(polygon: np.ndarray, score: float) -> str:
    """:func:`write_quad` with the confidence."""
    return f"{write_numbers(to_quad(polygon))},{score:.6f}"


def write_rectangle(polygon: np.ndarray, score: float) -> str:
    """``left,top,right,bottom``."""
    points = np.asarray(polygon)
    return write_numbers(np.concatenate([points.min(axis=0), points.max(axis=0)]))


def write_polygon(polygon: np.ndarray, score: float) -> str:
    """Pairs ``x,y``."""
    return write_numbers(np.asarray(polygon))


def _fields(line: str, repairs: Counter[str]) -> list[str]:
    fields = [field.strip() for field in line.split(",")]
    if len(fields) > 1 and not fields[-1]:
        repairs["comma at the end of a line"] += 1
        fields.pop()
    return fields


def _points(fields: list[str], line: str, expected: str) -> np.ndarray:
    points = np.array(float_fields(fields, line, expected)).reshape(-1, 2)
    if np.abs(points).max() > FARTHEST:
        raise ValueError(f"{shown(line)}: a coordinate beyond a million pixels. Correct the line.")
    return points


def _score(fields: list[str], line: str, expected: str) -> float | None:
    if not fields:
        return None
    (score,) = float_fields(fields, line, expected)
    if not 0 <= score <= 1:
        raise ValueError(
            f"{shown(line)}: {score:g} is not a confidence in [0, 1]; {expected}. Correct the line."
        )
    return score
