"""JSON ground truth: reading files, and checking what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .report import ReadReport
from .text_files import GroundTruthError, read_text

__all__ = ["box_points", "declared_size", "expect", "json_points", "read_json"]

_KINDS = {dict: "an object", list: "a list", str: "a string", int: "a whole number"}


def read_json(path: str | Path, report: ReadReport | None = None) -> Any:
    """Read a JSON file.

    Raises:
        FileNotFoundError: no such file.
        GroundTruthError: it is no JSON; the message names line and column.
    """
    text = read_text(path, report)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise GroundTruthError(
            f"{path}, line {error.lineno}, column {error.colno}: no JSON ({error.msg}). The file "
            "may be cut off: download or export it again."
        ) from error
    except RecursionError as error:
        raise GroundTruthError(f"{path}: nested too deeply to be ground truth.") from error


def expect(value: Any, kind: type, place: str) -> Any:
    """Return a value if it is of a kind.

    Raises:
        GroundTruthError: it is not; the message names the place.
    """
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise GroundTruthError(
            f"{place}: expected {_KINDS[kind]}, not {str(value)[:60]!r}. Correct or remove it."
        )
    return value


def declared_size(
    entry: dict[str, Any], height: str, width: str, place: str
) -> tuple[int, int] | None:
    """(height, width) under two keys of an entry; None where it does not say.

    Raises:
        GroundTruthError: they are no positive whole numbers.
    """
    if entry.get(height) is None or entry.get(width) is None:
        return None
    size = tuple(expect(entry[key], int, f"{place}, {key!r}") for key in (height, width))
    if min(size) < 1:
        raise GroundTruthError(f"{place}: a size of {size[1]}x{size[0]}. Correct it.")
    return size


def json_points(value: Any, place: str) -> np.ndarray:
    """Read points of a JSON file, as pairs or as a flat list.

    Returns:
        (N, 2) float64.

    Raises:
        GroundTruthError: it is neither.
    """
    try:
        points = np.array(value, dtype=np.float64)
        if points.ndim == 1 or points.size == 0:
            points = points.reshape(-1, 2)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"shape {points.shape}")
    except (ValueError, TypeError, OverflowError) as error:
        raise GroundTruthError(
            f"{place}: {str(value)[:60]} are no points ({error}); expected [[x, y], ...]. Correct "
            "or remove the text."
        ) from error
    return points


def box_points(box: Any, place: str) -> np.ndarray:
    """The corners of a COCO box [x, y, width, height], (4, 2), clockwise from the top-left.

    Raises:
        GroundTruthError: it is no list of four numbers.
    """
    corner_and_size = json_points(box, place)
    if corner_and_size.shape != (2, 2):
        raise GroundTruthError(f"{place}: {str(box)[:60]} is no box [x, y, width, height].")
    (x, y), (w, h) = corner_and_size
    return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])
