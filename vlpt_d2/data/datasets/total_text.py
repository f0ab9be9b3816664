"""Reader of Total-Text: words as polygons, from ``.mat`` or ``.txt`` ground truth.

Formats (cs-chan/Total-Text-Dataset, Groundtruth/Text/README.md and the files themselves):

- ``poly_gt_img11.mat`` (first release) and ``gt_img11.mat`` (the training set re-annotated with
  ten points per word): a variable ``polygt`` or ``gt``, one row of cells per word: ``'x:'``, xs,
  ``'y:'``, ys, text, orientation. Some cells of text are empty.
- ``poly_gt_img11.txt`` and ``gt_img11.txt``: ``x: [[..]], y: [[..]], ornt: [u'c'],
  transcriptions: [u'..']``, numbers separated by spaces; a word may run over several lines.

Orientation is c (curved), h (horizontal), m (multi-oriented) or #, "don't care".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import numpy as np

from .dataset import IMAGES, Archive, TextDataset
from .file_format import FileFormat, parse_polygon, write_polygon
from .ground_truth import (
    GroundTruthError,
    TextAnnotation,
    float_fields,
    read_folders,
    read_text,
    shown,
)
from .matlab import MatFile
from .report import ReadReport, ReadResult

__all__ = ["read_total_text", "read_total_text_file"]

_IGNORED = "#"
_TREE = """expected, for Total-Text, under DETECTRON2_DATASETS:
  total_text/
    Images/Train/                img11.jpg ... (1255)
    Images/Test/                 img1.jpg ... (300)
    Groundtruth/Polygon/Train/   poly_gt_img11.mat (or .txt), or gt_img11.mat (or .txt)
    Groundtruth/Polygon/Test/    poly_gt_img1.mat (or .txt)
datasets/README.md lists where to get them."""
# Possessive: what one part took is never given back to be tried again. The text ends with the last
# bracket of its line.
_WORD = re.compile(
    r"\s*+x:\s*+\[\[(?P<x>[^\]]*+)\]\]\s*+,\s*+y:\s*+\[\[(?P<y>[^\]]*+)\]\]\s*+,\s*+"
    r"ornt:\s*+\[(?P<ornt>[^\]]*+)\]\s*+,\s*+transcriptions:\s*+\[(?P<text>[^\n]*+)"
)
_BLANK = re.compile(r"\s*+")
_EXPECTED = "expected x: [[..]], y: [[..]], ornt: [u'c'], transcriptions: [u'..']"


def read_total_text(root: str | Path, split: str, name: str = "total_text") -> ReadResult:
    """Read a split (:attr:`.dataset.TextDataset.read`).

    The letter of the orientation is kept as ``"orientation"``; ``#`` is ``iscrowd``. Where an image
    has ground truth in several formats, ``poly_gt_*.mat`` comes first, then ``gt_*.mat``, then
    texts.
    """
    root = Path(root)
    gt = root / "Groundtruth" / "Polygon" / split.capitalize()

    def candidates(image: Path) -> list[Path]:
        names = (f"poly_gt_{image.stem}", f"gt_{image.stem}")
        return [gt / f"{stem}{suffix}" for suffix in (".mat", ".txt") for stem in names]

    return read_folders(
        [root / "Images" / split.capitalize()],
        candidates,
        read_total_text_file,
        tree=_TREE,
        name=name,
    )


def read_total_text_file(
    path: str | Path, report: ReadReport | None = None
) -> list[TextAnnotation]:
    """Read a ground truth file of either format.

    Raises:
        GroundTruthError: it cannot be read, or a word has no points.
    """
    path = Path(path)
    return _read_mat(path) if path.suffix.lower() == ".mat" else _read_txt(path, report)


def _read_mat(path: Path) -> list[TextAnnotation]:
    rows = _mat_rows(path)
    texts = []
    for number, row in enumerate(rows, 1):
        try:
            xs, ys = (np.asarray(row[i], dtype=np.float64).ravel() for i in (1, 3))
            text, orientation = _cell(row[4]), _cell(row[5]) if len(row) > 5 else ""
            texts.append(_text(xs, ys, text, orientation, str(number)))
        except (ValueError, TypeError, IndexError) as error:
            raise GroundTruthError(
                f"{path}, word {number}: {error}; expected a row of six cells: 'x:', xs, 'y:', ys, "
                "text, orientation. Unpack the file again or replace it."
            ) from error
    return texts


def _mat_rows(path: Path) -> np.ndarray:
    file = MatFile(path)
    for key in ("polygt", "gt"):
        if key in file.names:
            rows = file.read(key)
            # Without words MATLAB writes [], which is of numbers.
            if rows.ndim != 2 or (rows.dtype != object and rows.size):
                raise GroundTruthError(
                    f"{path}: {key} is not a table of cells, one row for each word. Unpack the "
                    "file again or replace it."
                )
            return rows
    names = ", ".join(file.names) or "none"
    raise GroundTruthError(f"{path}: has no variable polygt or gt, but {names}.")


def _cell(cell: Any) -> str:
    """The string of a MATLAB cell, empty for an empty one."""
    values = np.asarray(cell).ravel()
    return str(values[0]).strip() if values.size else ""


def _read_txt(path: Path, report: ReadReport | None) -> list[TextAnnotation]:
    content = read_text(path, report).replace("\r\n", "\n").replace("\r", "\n")
    content = content.rstrip()
    texts, end, line = [], 0, 1
    while end < len(content):
        start = cast(re.Match, _BLANK.match(content, end)).end()  # matches nothing too
        line += content.count("\n", end, start)
        match = _WORD.match(content, end)
        text = match["text"].rstrip() if match else ""
        if match is None or not text.endswith("]"):
            first, _, _ = content[start : start + 200].partition("\n")
            raise GroundTruthError(
                f"{path}, line {line}: {shown(first)} is not a word; "
                f"{_EXPECTED}. Correct or remove it."
            )
        place, line, end = str(line), line + content.count("\n", start, match.end()), match.end()
        try:
            xs, ys = (
                np.array(float_fields(re.split(r"[\s,]+", part.strip()), part, _EXPECTED), float)
                for part in match.group("x", "y")
            )
            word, orientation = _unquote(text[:-1]), _unquote(match["ornt"])
            texts.append(_text(xs, ys, word, orientation, place))
        except ValueError as error:
            raise GroundTruthError(f"{path}, line {place}: {error}") from error
    return texts


def _unquote(text: str) -> str:
    """``u'STOP'`` -> STOP; the quotes are Python's, as the files were printed by it."""
    text = text.strip()
    inner = text.removeprefix("u")
    if len(inner) >= 2 and inner[0] == inner[-1] and inner[0] in "'\"":
        return inner[1:-1]
    return text


def _text(
    xs: np.ndarray, ys: np.ndarray, text: str, orientation: str, place: str
) -> TextAnnotation:
    if len(xs) != len(ys):
        raise ValueError(f"{len(xs)} xs and {len(ys)} ys; they belong together. Correct the word.")
    ignore = _IGNORED in (orientation, text)
    points = np.stack([xs, ys], axis=1)
    return TextAnnotation(points, text, ignore, place, {"orientation": orientation})


FILE_FORMAT = FileFormat(
    "totaltext",
    read_total_text_file,
    parse_polygon,
    lambda polygon, score: write_polygon(np.asarray(polygon)[:, ::-1], score),
    gt_name=re.compile(r"(?:poly_)?gt_img([0-9]+)\.(?:mat|txt)"),
    dt_name=re.compile(r"img([0-9]+)\.txt"),
    gt_example="poly_gt_img1.mat",
    dt_example="img1.txt",
    write_name="{}.txt".format,
    # A transcription "#" is not learnt from either, but the benchmark looks at the letter alone.
    is_ignored=lambda text: text.extra.get("orientation") == "#",
    order="yx",
)


_PLACES = (
    (rf"(Train|Test)/([^/]+\.(?:{IMAGES}))", r"Images/\1/\2"),
    (r"(Train|Test)/((?:poly_)?gt_[^/]+\.(?:mat|txt))", r"Groundtruth/Polygon/\1/\2"),
)

DATASET = TextDataset(
    "total_text",
    "Total-Text",
    read_total_text,
    ("train", "test"),
    protocol="totaltext-deteval",
    file_format=FILE_FORMAT,
    archives=(
        Archive("totaltext.zip", _PLACES, ("5b56d71a4005a333cf200ff35ce87f75",)),
        # Either of these two; readers prefer the first.
        Archive("groundtruth_text.zip", _PLACES),
        Archive("txt_format.zip", _PLACES, ("53377a83420b4a0244304467512134e8",)),
    ),
)
