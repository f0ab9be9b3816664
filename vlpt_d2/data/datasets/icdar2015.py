"""Reader of ICDAR2015 Challenge 4 (incidental scene text), and of folders in its format.

Format (rrc.cvc.uab.es, ch=4, tasks): one UTF-8 file per image, one line per word:
``x1,y1,x2,y2,x3,y3,x4,y4,transcription``, corners clockwise from the top-left, everything after
the eighth comma is the transcription; ``###`` marks an illegible word. Double quotes around a
transcription are taken off, as by the competition's script.

Files of other formats that are taken for this one are known by their lines: those of the
multi-lingual sets have the script before the transcription, and polygons have more numbers.
"""

from __future__ import annotations

import hashlib
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...structures import is_dont_care
from .dataset import IMAGES, TextDataset, own_archive
from .file_format import FileFormat, write_quad
from .file_format import parse_quad as parse_result
from .ground_truth import (
    TextAnnotation,
    float_fields,
    parse_lines,
    read_folders,
    read_text,
    shown,
    unquote,
)
from .report import ReadReport, ReadResult

__all__ = [
    "parse_quad",
    "read_icdar2015",
    "read_quad_file",
    "split_holdout",
    "written_word",
]

_TREE = """expected, for ICDAR2015, under DETECTRON2_DATASETS:
  icdar2015/
    ch4_training_images/                              img_1.jpg ... img_1000.jpg
    ch4_training_localization_transcription_gt/       gt_img_1.txt ... gt_img_1000.txt
    ch4_test_images/                                  img_1.jpg ... img_500.jpg
    Challenge4_Test_Task1_GT/                         gt_img_1.txt ... gt_img_500.txt
datasets/README.md lists where to get them."""
_FOLDERS = {
    "train": ("ch4_training_images", "ch4_training_localization_transcription_gt"),
    "test": ("ch4_test_images", "Challenge4_Test_Task1_GT"),
}
# Height and width of all images, so a resized copy is known by its size.
_SIZE = (720, 1280)
_FIELDS = "x1,y1,x2,y2,x3,y3,x4,y4"
#: The scripts of the multi-lingual sets.
_SCRIPTS = {"Arabic", "Latin", "Chinese", "Japanese", "Korean", "Bangla", "Hindi", "Symbols"}
_SCRIPTS |= {"Mixed", "None"}
# A coordinate as labelling tools write it, which a number in a word need not be.
_COORDINATE = re.compile(r"-?(?:0|[1-9][0-9]{0,6})(?:\.[0-9]{1,20})?")
# How far, in sizes of the part given by four points, other points of a polygon may lie from it.
_REACH = 4


def _read_split(root: Path, split: str, name: str) -> ReadResult:
    images, labels = _FOLDERS[split]
    # There are resized copies of the training images.
    size = _SIZE if split == "train" else None
    return read_icdar2015(root / images, root / labels, size, name)


def read_icdar2015(
    image_dir: str | Path,
    gt_dir: str | Path,
    original_size: tuple[int, int] | None = None,
    name: str = "icdar2015",
) -> ReadResult:
    """Read the images of a folder with the words of their ground truth files.

    Args:
        image_dir: folder of ``<stem>.jpg`` or ``.png``.
        gt_dir: folder of ``gt_<stem>.txt`` (or ``<stem>.txt``), in pixels of those images.
        original_size: (height, width) of the benchmark's images; see
            :func:`~vlpt_d2.data.datasets.ground_truth.read_folders`.
        name: the dataset's name in the report.

    Returns:
        Dataset dicts in natural order of the file names, ``image_id`` counted from 1 (so that of
        ``img_7.jpg`` is 7), every image kept, ``iscrowd`` 1 for ``###``; and the report.

    Raises:
        FileNotFoundError: a folder, or the ground truth of an image, is missing.
        GroundTruthError: a line cannot be read.
        CorruptImageError: an image's header cannot be read.
    """
    gt_dir = Path(gt_dir)
    if Path(image_dir).is_dir() and not gt_dir.is_dir():
        raise FileNotFoundError(f"{gt_dir}: no such folder;\n{_TREE}")
    return read_folders(
        [image_dir],
        lambda image: [gt_dir / f"gt_{image.stem}.txt", gt_dir / f"{image.stem}.txt"],
        read_quad_file,
        tree=_TREE,
        name=name,
        original_size=original_size,
    )


def read_quad_file(
    path: str | Path, report: ReadReport | None = None, script: bool = False
) -> list[TextAnnotation]:
    """Read a file of lines ``x1,y1,x2,y2,x3,y3,x4,y4[,script],transcription``.

    Args:
        path: see :func:`~vlpt_d2.data.datasets.ground_truth.read_text`.
        report: where to count a file that is not UTF-8.
        script: whether the ninth field is the script (the multi-lingual sets); it is kept as
            ``extra["script"]``.

    Raises:
        GroundTruthError: the file is not text, or a line is malformed.
    """
    report = report or ReadReport(str(path))

    def annotation(line: str, number: int) -> TextAnnotation:
        place = f"{Path(path).name}:{number}"
        points, rest = parse_quad(line, ("script", "transcription") if script else None)
        extra = {"script": rest[0].strip()} if script else {}
        if script and extra["script"] not in _SCRIPTS:
            report.count(report.notes, "scripts that no multi-lingual set has", place)
        if not script and rest[0].partition(",")[0] in _SCRIPTS and "," in rest[0]:
            name, _, rest[0] = rest[0].partition(",")
            extra = {"script": name}
            report.count(report.repaired, "lines with a script, as in the MLT sets", place)
        elif not script:
            points, rest[0] = _polygon(points, rest[0], place, report)
        text = unquote(rest[-1])
        return TextAnnotation(points, text, is_dont_care(text), str(number), extra)

    return parse_lines(read_text(path, report), path, annotation)


def _polygon(
    points: np.ndarray, rest: str, place: str, report: ReadReport
) -> tuple[np.ndarray, str]:
    """Points and transcription of a line that may have more points than four.

    A word may begin with numbers, too: they are points if there are four or more of them, or the
    transcription is in quotes, and they lie near the first four points.
    """
    head, quote, quoted = rest.partition(',"')
    fields = head.split(",") if quote else rest.split(",")[:-1]
    fields = [field.strip() for field in fields]
    count = next((i for i, f in enumerate(fields) if not _COORDINATE.fullmatch(f)), None)
    count = len(fields) if count is None else count
    if count < 2 or (quote and count < len(fields)):
        return points, rest
    count -= count % 2
    more = np.array([float(field) for field in fields[:count]]).reshape(-1, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    reach = _REACH * (high - low).max()
    if (quote or count >= 4) and ((more >= low - reach) & (more <= high + reach)).all():
        report.count(report.repaired, "lines of more than four points, read as polygons", place)
        text = f'"{quoted}' if quote else ",".join(rest.split(",")[count:])
        return np.concatenate([points, more]), text
    report.count(report.notes, "words that begin with several numbers", place)
    return points, rest


def written_word(text: str) -> str:
    """A word as it is written into a file of this format, so that it is read back the same.

    It is kept as it is, but for words that begin and end with quotes, that begin with the name of a
    script and a comma, or with numbers and commas: these are put into quotes.
    """
    fields = text.split(",")
    numbers = [_COORDINATE.fullmatch(field.strip()) is not None for field in fields[:-1]]
    is_plain = unquote(text) == text and not (numbers and (fields[0] in _SCRIPTS or numbers[0]))
    if is_plain:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parse_quad(line: str, names: tuple[str, ...] | None = None) -> tuple[np.ndarray, list[str]]:
    """Read eight numbers and the fields after them; the last one may contain commas.

    Args:
        line: without its line end.
        names: of the fields after the numbers; one transcription if not given.

    Returns:
        (4, 2) float64 corners in pixels, and those fields unchanged.

    Raises:
        ValueError: too few fields, or no numbers.
    """
    names = names or ("transcription",)
    fields = line.split(",", 7 + len(names))
    expected = f"expected {_FIELDS},{','.join(names)}"
    if len(fields) < 8 + len(names):
        raise ValueError(
            f"{shown(line)} has {len(fields)} fields; {expected} (### for an illegible word). "
            "Correct or remove the line."
        )
    return np.array(float_fields(fields[:8], line, expected)).reshape(4, 2), fields[8:]


def split_holdout(
    dataset_dicts: list[dict[str, Any]], share: float = 0.1, seed: int = 2015
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Split into a part to train on and a held-out part to choose checkpoints and thresholds on.

    Images are ranked by a hash of seed and file stem, so the split depends on neither the order
    of reading nor the version of any random number generator.

    Args:
        dataset_dicts: with ``file_name``.
        share: share of images that is held out, rounded to whole images.
        seed: which of the possible splits.

    Returns:
        (training, held-out), each in the order given.
    """

    def rank(dataset_dict: dict[str, Any]) -> str:
        stem = Path(dataset_dict["file_name"]).stem
        return hashlib.sha256(f"{seed}:{stem}".encode()).hexdigest()

    ranked = sorted(dataset_dicts, key=rank)
    held_out = {d["file_name"] for d in ranked[: round(share * len(ranked))]}
    train = [d for d in dataset_dicts if d["file_name"] not in held_out]
    return train, [d for d in dataset_dicts if d["file_name"] in held_out]


FILE_FORMAT = FileFormat(
    "icdar2015",
    read_quad_file,
    parse_result,
    write_quad,
    quads=True,
    quad_gt=True,
    whole=True,
    clockwise=True,
)


def _few(count: int, dicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    learnt = split_holdout(dicts)[0]
    return [learnt[i * len(learnt) // count] for i in range(count)]


# Checkpoints and thresholds are to be chosen on trainval_val, never on the test images.
# trainval_train_50 and _200 are that many of the 900, evenly spread: what a detector learns from
# few labels.
DATASET = TextDataset(
    "icdar2015",
    "ICDAR2015",
    _read_split,
    ("train", "test"),
    parts={
        "trainval_train": ("train", lambda dicts: split_holdout(dicts)[0]),
        "trainval_val": ("train", lambda dicts: split_holdout(dicts)[1]),
        **{f"trainval_train_{count}": ("train", partial(_few, count)) for count in (50, 200)},
    },
    file_format=FILE_FORMAT,
    archives=(
        own_archive("ch4_training_images.zip", IMAGES, "c51cbace155dcc4d98c8dd19d378f30d"),
        own_archive(
            "ch4_training_localization_transcription_gt.zip",
            "txt",
            "3bfaf1988960909014f7987d2343060b",
        ),
        own_archive("ch4_test_images.zip", IMAGES, "97e4c1ddcf074ffcc75feff2b63c35dd"),
        own_archive(
            "Challenge4_Test_Task1_GT.zip",
            "txt",
            "8f434c410cfcf680b8421e3c22abf31b9297d8e255c3b13acc2890fddc6db6b0",
        ),
    ),
)
