"""Result files: lines of coordinates, in each benchmark's layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...data.datasets.text_files import (
    GroundTruthError,
    float_fields,
    numbered_lines,
    read_text,
    shown,
)
from .folders import FileError

__all__ = [
    "Detection",
    "parse_ctw1500",
    "parse_polygon",
    "parse_quad",
    "parse_rectangle",
    "read_results",
]

# Pixels; a coordinate beyond is a broken number, and its products would overflow.
_FARTHEST = 1e6


@dataclass
class Detection:
    """One line of a result file.

    Attributes:
        points: (N, 2) float64, in pixels, in the order of the file.
        score: the confidence; None where the line has none.
        line: its number, from 1.
    """

    points: np.ndarray
    score: float | None
    line: int


#: From a line without its end to points and confidence; raises ValueError.
ParseResult = Callable[[str, Counter], tuple[np.ndarray, float | None]]


def read_results(path: Path, parse: ParseResult, repairs: Counter[str]) -> list[Detection]:
    """Read the detections of one image.

    Args:
        path: a text file; blank lines are skipped.
        parse: reads one line.
        repairs: what was put right is added here, by kind.

    Raises:
        FileError: the file is no text, or a line is malformed.
    """
    try:
        text = read_text(path)
    except GroundTruthError as error:
        raise FileError(str(error)) from error
    detections = []
    for number, line in numbered_lines(text):
        try:
            points, score = parse(line, repairs)
        except ValueError as error:
            raise FileError(f"{path.name}, line {number}: {error}") from error
        detections.append(Detection(points, score, number))
    scored = [d.score is not None for d in detections]
    if any(scored) and not all(scored):
        line = detections[scored.index(False)].line
        raise FileError(
            f"{path.name}, line {line}: has no confidence, but other lines have one. Write one on "
            "every line or on none."
        )
    return detections


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


def parse_ctw1500(line: str, repairs: Counter[str]) -> tuple[np.ndarray, float | None]:
    """:func:`parse_polygon`, or the form of the first release's ground truth.

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


def _fields(line: str, repairs: Counter[str]) -> list[str]:
    fields = [field.strip() for field in line.split(",")]
    if len(fields) > 1 and not fields[-1]:
        repairs["comma at the end of a line"] += 1
        fields.pop()
    return fields


def _points(fields: list[str], line: str, expected: str) -> np.ndarray:
    points = np.array(float_fields(fields, line, expected)).reshape(-1, 2)
    if np.abs(points).max() > _FARTHEST:
        raise ValueError(f"{shown(line)}: a coordinate beyond a million pixels. Correct the line.")
    return points


def _score(fields: list[str], line: str, expected: str) -> float | None:
    if not fields:
        return None
    (score,) = float_fields(fields, line, expected)
    if not 0 <= score <= 1:
        raise ValueError(
            f"{shown(line)}: {score:g} is no confidence, which lies in [0, 1]; {expected}. Correct "
            "the line."
        )
    return score
