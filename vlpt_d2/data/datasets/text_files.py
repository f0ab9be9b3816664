"""Ground truth files as text and lines, whatever their encoding and line ends."""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from .report import ReadReport

__all__ = [
    "GroundTruthError",
    "are_numbers",
    "decode_text",
    "float_fields",
    "numbered_lines",
    "parse_lines",
    "read_text",
    "shown",
    "unquote",
]

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_Parsed = TypeVar("_Parsed")
# Characters of a line that a message shows.
_SHOWN = 100
# Tried in turn on what is not UTF-8: Western Windows, then its superset that takes every byte.
_FALLBACKS = ("cp1252", "latin-1")


class GroundTruthError(ValueError):
    """A ground truth file that cannot be read; the message names file, place and fix."""


def read_text(
    path: str | Path, report: ReadReport | None = None, encodings: Iterable[str] = ()
) -> str:
    """Read a text file as UTF-8, or as what it must be otherwise.

    Byte order marks of UTF-8 and UTF-16 are obeyed and taken off. A file in an older encoding is
    decoded with the first that fits and counted in the report.

    Args:
        path: the file.
        report: where to count a file that is not Unicode.
        encodings: older encodings to try before Windows-1252, such as ``"gb18030"``.

    Raises:
        FileNotFoundError: no such file.
        GroundTruthError: the file is binary (it holds null characters) or cannot be opened.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except IsADirectoryError as error:
        raise GroundTruthError(f"{path}: is a folder; name the file in it.") from error
    except OSError as error:
        raise GroundTruthError(f"{path}: cannot be read ({error}).") from error
    return decode_text(content, path, report, encodings)


def decode_text(
    content: bytes,
    path: str | Path,
    report: ReadReport | None = None,
    encodings: Iterable[str] = (),
) -> str:
    """:func:`read_text` of a file that is in memory.

    Raises:
        GroundTruthError: it is binary.
    """
    text = _decode(content, Path(path), report, encodings)
    if "\0" in text:
        raise GroundTruthError(
            f"{path}: holds null characters, so it is not a text file. Unpack it again or "
            "replace it."
        )
    return text


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """Split at LF, CR/LF or CR, and yield the lines that are not blank with their numbers from 1.

    Not ``str.splitlines``: that also splits at characters which may be part of a transcription.
    """
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if line.strip():
            yield number, line


def parse_lines(text: str, path: str | Path, parse: Callable[[str, int], _Parsed]) -> list[_Parsed]:
    """Parse the lines of a file that are not blank.

    Args:
        text: the file's content, see :func:`read_text`.
        path: the file, for messages.
        parse: called with each line and its number from 1.

    Raises:
        GroundTruthError: ``parse`` raised a ValueError.
    """
    parsed = []
    for number, line in numbered_lines(text):
        try:
            parsed.append(parse(line, number))
        except ValueError as error:
            raise GroundTruthError(f"{path}, line {number}: {error}") from error
    return parsed


def float_fields(fields: Iterable[str], line: str, expected: str) -> list[float]:
    """Convert the fields of a line.

    Args:
        fields: what should be numbers.
        line: the whole line, for the message.
        expected: the line's format, for the message.

    Raises:
        ValueError: a field is not a number, or not finite.
    """
    try:
        numbers = [_number(value) for value in fields]
    except ValueError as error:
        raise ValueError(
            f"{shown(line)}: {error}; {expected}. Correct or remove the line."
        ) from None
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{shown(line)}: a coordinate is not finite. Correct or remove the line.")
    return numbers


def are_numbers(fields: Iterable[str]) -> bool:
    """Whether all fields are finite numbers."""
    try:
        return all(math.isfinite(_number(value)) for value in fields)
    except ValueError:
        return False


def shown(text: str) -> str:
    """A line as a message shows it: quoted, and no longer than the message."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def unquote(text: str) -> str:
    """Take off the double quotes around a transcription, as the competitions' scripts do.

    Within them ``\\\\`` and ``\\"`` mean a backslash and a quote
    (``rrc_evaluation_funcs.py``). A transcription without quotes around it stays as it is.
    """
    inner = text.strip()
    if len(inner) < 2 or inner[0] != '"' or inner[-1] != '"':
        return text
    return inner[1:-1].replace("\\\\", "\\").replace('\\"', '"')


def _number(field: str) -> float:
    # Python's float also takes 1_0 and the digits of every script.
    if not field.isascii() or "_" in field:
        raise ValueError(f"could not convert string to float: {shown(field)}")
    try:
        return float(field)
    except ValueError:
        raise ValueError(f"could not convert string to float: {shown(field)}") from None


def _decode(content: bytes, path: Path, report: ReadReport | None, encodings: Iterable[str]) -> str:
    if content.startswith(_UTF16):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    for encoding in (*encodings, *_FALLBACKS):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if report is not None:
            report.count(report.repaired, f"file is not UTF-8, read as {encoding}", path.name)
        return text
    raise AssertionError("latin-1 decodes every byte")
