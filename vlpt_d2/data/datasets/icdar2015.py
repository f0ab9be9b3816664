"""Reader of ICDAR2015 Challenge 4 (incidental scene text), and of folders in its format.

Format (rrc.cvc.uab.es, ch=4, tasks): one UTF-8 file per image, one line per word:
``x1,y1,x2,y2,x3,y3,x4,y4,transcription``, corners clockwise from the top-left, everything after
the eighth comma is the transcription, without any escaping; ``###`` marks an illegible word.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.structures import BoxMode
from PIL import Image, UnidentifiedImageError

from ...structures import repair_polygon
from ..sample import CorruptImageError
from .report import ReadReport

__all__ = [
    "DONT_CARE",
    "GroundTruthError",
    "load_icdar2015",
    "parse_line",
    "read_ground_truth",
    "read_icdar2015",
    "split_holdout",
]

logger = logging.getLogger(__name__)

DONT_CARE = "###"
# (name, folder) of the reports written so far: loaders and evaluators read a set several times.
_logged: set[tuple[str, str]] = set()
_EXTENSIONS = {".jpg", ".jpeg", ".png"}
# Orientations of the EXIF standard that swap width and height.
_EXIF_ORIENTATION, _EXIF_TRANSPOSED = 0x0112, (5, 6, 7, 8)
_TREE = """expected, for ICDAR2015, under DETECTRON2_DATASETS:
  icdar2015/
    ch4_training_images/                              img_1.jpg ... img_1000.jpg
    ch4_training_localization_transcription_gt/       gt_img_1.txt ... gt_img_1000.txt
    ch4_test_images/                                  img_1.jpg ... img_500.jpg
    Challenge4_Test_Task1_GT/                         gt_img_1.txt ... gt_img_500.txt
datasets/README.md says where to get them."""


class GroundTruthError(ValueError):
    """A ground truth file that cannot be read; the message names file, line and remedy."""


def load_icdar2015(
    image_dir: str | Path,
    gt_dir: str | Path,
    original_size: tuple[int, int] | None = None,
    name: str = "icdar2015",
) -> list[dict[str, Any]]:
    """Read a split as detectron2 dataset dicts and log, once per process, what was found.

    See :func:`read_icdar2015` for arguments and result.
    """
    dataset_dicts, report = read_icdar2015(image_dir, gt_dir, original_size, name)
    if (name, str(image_dir)) not in _logged:
        _logged.add((name, str(image_dir)))
        report.log(logger)
    return dataset_dicts


def read_icdar2015(
    image_dir: str | Path,
    gt_dir: str | Path,
    original_size: tuple[int, int] | None = None,
    name: str = "icdar2015",
) -> tuple[list[dict[str, Any]], ReadReport]:
    """Read the images of a folder with the words of their ground truth files.

    Args:
        image_dir: folder of ``<stem>.jpg`` or ``.png``.
        gt_dir: folder of ``gt_<stem>.txt``, in pixels of those images.
        original_size: (height, width) of the benchmark's images. A dict whose image has another
            size gets it as ``"restore_size"``, for :func:`vlpt_d2.data.sample.load_sample`.
        name: the dataset's name in the report.

    Returns:
        Dataset dicts in natural order of the file names, ``image_id`` counted from 1 (so that of
        ``img_7.jpg`` is 7), every image kept, ``iscrowd`` 1 for ``###``; and the report.

    Raises:
        FileNotFoundError: a folder, or the ground truth of an image, is missing.
        GroundTruthError: a line cannot be read.
        CorruptImageError: an image's header cannot be read.
    """
    image_dir, gt_dir = Path(image_dir), Path(gt_dir)
    for folder in (image_dir, gt_dir):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder;\n{_TREE}")
    images = [p for p in image_dir.iterdir() if p.suffix.lower() in _EXTENSIONS]
    if not images:
        raise FileNotFoundError(f"{image_dir}: holds no .jpg or .png image;\n{_TREE}")

    report = ReadReport(name)
    dataset_dicts = []
    for image_id, path in enumerate(sorted(images, key=_natural_key), 1):
        gt_path = gt_dir / f"gt_{path.stem}.txt"
        if not gt_path.is_file():
            raise FileNotFoundError(
                f"{gt_path}: no ground truth for {path}. Add the file (an empty one for an image "
                "without words) or remove the image."
            )
        height, width = _image_size(path)
        dataset_dict = {
            "file_name": str(path),
            "height": height,
            "width": width,
            "image_id": image_id,
            "annotations": _annotations(gt_path, height, width, report),
        }
        if original_size is not None and (height, width) != tuple(original_size):
            dataset_dict["restore_size"] = tuple(original_size)
            report.restorable += 1
        report.images += 1
        dataset_dicts.append(dataset_dict)
    if report.words and report.ignored == report.words:
        report.count(report.notes, "every word is ignored: nothing to learn or find", str(gt_dir))
    return dataset_dicts, report


def read_ground_truth(path: str | Path) -> list[tuple[int, np.ndarray, str]]:
    """Read one ground truth file.

    Args:
        path: a UTF-8 file, with or without byte order mark, with LF, CR/LF or CR line ends.

    Returns:
        Per word its line number (from 1), (4, 2) float64 corners, and transcription.

    Raises:
        GroundTruthError: the file is not UTF-8 or a line is malformed.
    """
    try:
        content = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise GroundTruthError(
            f"{path}: is not UTF-8 ({error.reason} at byte {error.start}). Convert it, for "
            "example with iconv -t utf-8."
        ) from error
    words = []
    # Not str.splitlines: that also splits at characters which may be part of a transcription.
    lines = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            words.append((number, *parse_line(line)))
        except ValueError as error:
            raise GroundTruthError(f"{path}, line {number}: {error}") from error
    return words


def parse_line(line: str) -> tuple[np.ndarray, str]:
    """Read one line ``x1,y1,x2,y2,x3,y3,x4,y4,transcription``.

    Args:
        line: without its line end; the transcription may be empty and may hold commas.

    Returns:
        (4, 2) float64 corners in pixels, and the transcription as it stands.

    Raises:
        ValueError: fewer than eight numbers, or no transcription field.
    """
    fields = line.split(",", 8)
    expected = "expected x1,y1,x2,y2,x3,y3,x4,y4,transcription"
    if len(fields) < 9:
        raise ValueError(
            f"{line!r} has {len(fields)} fields; {expected} (### for an illegible word). "
            "Correct or remove the line."
        )
    try:
        numbers = [float(value) for value in fields[:8]]
    except ValueError as error:
        raise ValueError(f"{line!r}: {error}; {expected}. Correct or remove the line.") from None
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{line!r}: a coordinate is not finite. Correct or remove the line.")
    return np.array(numbers).reshape(4, 2), fields[8]


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


def _annotations(path: Path, height: int, width: int, report: ReadReport) -> list[dict[str, Any]]:
    annotations = []
    for number, corners, text in read_ground_truth(path):
        place = f"{path.name}:{number}"
        ring, fault = repair_polygon(corners)
        if ring is None:
            report.count(report.dropped, fault, place)
            continue
        if fault is not None:
            report.count(report.repaired, fault, place)
        (x0, y0), (x1, y1) = ring.min(axis=0).tolist(), ring.max(axis=0).tolist()
        if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
            report.count(report.notes, "words outside their image", place)
        annotations.append(
            {
                "bbox": [x0, y0, x1, y1],
                "bbox_mode": BoxMode.XYXY_ABS,
                "category_id": 0,
                "segmentation": [ring.ravel().tolist()],
                "iscrowd": int(text == DONT_CARE),
                "text": text,
            }
        )
    report.words += len(annotations)
    report.ignored += sum(a["iscrowd"] for a in annotations)
    return annotations


def _image_size(path: Path) -> tuple[int, int]:
    """(height, width) as shown, from the header alone."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise CorruptImageError(
            f"{path}: is no readable image ({error}). Replace the file, or remove it together "
            "with its ground truth."
        ) from error
    return (width, height) if orientation in _EXIF_TRANSPOSED else (height, width)


def _natural_key(path: Path) -> list[tuple[int, str]]:
    """Sort img_2 before img_10."""
    return [(int(s), "") if s.isdigit() else (-1, s) for s in re.split(r"([0-9]+)", path.stem)]
