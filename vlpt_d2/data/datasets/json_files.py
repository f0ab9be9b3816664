"""JSON ground truth: reading files, and checking what is in them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from .ground_truth import GroundTruthError, read_text
from .report import ReadReport

__all__ = ["box_points", "declared_size", "expect", "json_points", "read_id", "read_json"]

# Digits; a longer whole number counts nothing, and from 4,300 on Python refuses to read it.
_LONGEST_NUMBER = 300
# Pixels; no image has a longer side.
_LARGEST_SIDE = 10**6
# Escapes of what no text can hold: null characters and halves of surrogate pairs.
_SUSPECT = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_KINDS = {dict: "an object", list: "a list", str: "a string", int: "a whole number"}


def read_json(path: str | Path, report: ReadReport | None = None) -> Any:
    """Read a JSON file.

    Whole numbers of more than 300 digits become floats. Null characters and lone surrogates in
    strings, which neither file names nor tokenizers can hold, become U+FFFD and are counted.

    Raises:
        FileNotFoundError: no such file.
        GroundTruthError: it is no JSON, the message names line and column; or a key occurs twice
            in one object.
    """
    text = read_text(path, report)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in entries if keys.count(key) > 1)
            raise GroundTruthError(
                f"{path}: the key {twice!r} occurs twice in one object, of which one would be "
                "lost. Remove or rename one."
            )
        return entries

    try:
        content = json.loads(text, object_pairs_hook=unique, parse_int=_whole_number)
        if _SUSPECT.search(text):
            content = _only_text(content, Path(path).name, report)
        return content
    except json.JSONDecodeError as error:
        raise GroundTruthError(
            f"{path}, line {error.lineno}, column {error.colno}: no JSON ({error.msg}). The file "
            "may be cut off: download or export it again."
        ) from error
    except RecursionError as error:
        raise GroundTruthError(f"{path}: nested too deeply to be ground truth.") from error


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else float(digits)


def _only_text(value: Any, place: str, report: ReadReport | None) -> Any:
    """The same value with U+FFFD for what is not text in its strings."""
    if isinstance(value, str):
        # The parser joins pairs of surrogates; what is left of them is half a character.
        text = _NO_TEXT.sub("\ufffd", value)
        if text != value and report is not None:
            report.count(report.repaired, "characters that are no text, replaced", place)
        return text
    if isinstance(value, list):
        return [_only_text(item, place, report) for item in value]
    if isinstance(value, dict):
        return {
            _only_text(key, place, report): _only_text(item, place, report)
            for key, item in value.items()
        }
    return value


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
    if min(size) < 1 or max(size) > _LARGEST_SIDE:
        shown = "x".join(str(side)[:20] for side in size[::-1])
        raise GroundTruthError(f"{place}: a size of {shown}. Correct it.")
    return size


def read_id(value: Any, place: str) -> int | str:
    """Return an image's or annotation's id.

    Raises:
        GroundTruthError: it is neither a whole number nor a string.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise GroundTruthError(f"{place}: {str(value)[:60]!r} is not an id. Correct or remove it.")
    return value


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
            f"{place}: {str(value)[:60]} are not points ({error}); expected [[x, y], ...]. Correct "
            "or remove the text."
        ) from error
    return points


def box_points(box: Any, place: str) -> np.ndarray:
    """The corners of a COCO box [x, y, width, height], (4, 2), clockwise from the top-left.

    Raises:
        GroundTruthError: it is not a list of four numbers.
    """
    corner_and_size = json_points(box, place)
    if corner_and_size.shape != (2, 2):
        raise GroundTruthError(f"{place}: {str(box)[:60]} is not a box [x, y, width, height].")
    (x, y), (w, h) = corner_and_size
    return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])
