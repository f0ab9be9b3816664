"""Ground truth: from a file's bytes to lines, text annotations and detectron2 dataset dicts.

A reader names the files and turns the lines of each into :class:`TextAnnotation` objects.
Encodings, repair, counting, EXIF orientation and the dict are the same for all readers.
"""

from __future__ import annotations

import codecs
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .image_files import ImageHeader, list_images, note_unused_labels, read_header
from .report import LISTING, ReadReport, ReadResult, check_report

__all__ = [
    "GroundTruthError",
    "TextAnnotation",
    "TextReader",
    "annotations_of",
    "are_numbers",
    "decode_text",
    "float_fields",
    "make_record",
    "numbered_lines",
    "parse_lines",
    "read_folders",
    "read_text",
    "shown",
    "unquote",
]

# Coordinates as shares of width and height, read as pixels, make such words.
_WITHIN_A_PIXEL = "words no larger than a pixel (coordinates here are pixels, not shares)"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_Parsed = TypeVar("_Parsed")
# Characters of a line that a message shows.
_SHOWN = 100
# Tried in turn on what is not UTF-8: Western Windows, then its superset that takes every byte.
_FALLBACKS = ("cp1252", "latin-1")


@dataclass
class TextAnnotation:
    """One text as its file has it.

    Attributes:
        points: (N, 2) corners in pixels.
        text: transcription; empty where the dataset has none.
        ignore: whether it is "don't care" in training.
        place: where in the file, such as "12" for its line.
        extra: the dataset's own marks, kept in the annotation under these keys.
        characters: (C, 4, 2) corners of its characters, in pixels; see
            :class:`~vlpt_d2.structures.TextInstances`.
    """

    points: np.ndarray
    text: str = ""
    ignore: bool = False
    place: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    characters: np.ndarray = field(default_factory=lambda: np.zeros((0, 4, 2)))

    def move(self, apply_coords: Callable[[np.ndarray], np.ndarray]) -> None:
        """Map all points, by a function from (M, 2) to (M, 2)."""
        self.points = apply_coords(self.points)
        self.characters = apply_coords(self.characters.reshape(-1, 2)).reshape(-1, 4, 2)


#: Reads one ground truth file.
TextReader = Callable[[Path, ReadReport], list[TextAnnotation]]


def read_folders(
    image_dirs: Sequence[str | Path],
    gt_candidates: Callable[[Path], Sequence[Path]] | None,
    read: TextReader,
    *,
    tree: str,
    name: str,
    original_size: tuple[int, int] | None = None,
) -> ReadResult:
    """Read datasets that have one ground truth file for each image.

    Args:
        image_dirs: folders of images.
        gt_candidates: from an image's path to the files that may hold its ground truth; the first
            that exists is read. None: the images have no public ground truth.
        read: reads such a file.
        tree: the expected tree, for messages.
        name: the dataset's name in the report.
        original_size: (height, width) of the benchmark's images. A dict whose image has another
            size gets it as ``"restore_size"``, for :func:`vlpt_d2.data.sample.load_sample`.

    Returns:
        Dataset dicts in natural order of the file names, ``image_id`` counted from 1, every image
        kept; and the report. Without ground truth the dicts have no ``annotations``.

    Raises:
        FileNotFoundError: a folder, or the ground truth of an image, is missing.
        GroundTruthError: a file cannot be read.
        CorruptImageError: an image's header cannot be read.
    """
    report = ReadReport(name)
    dataset_dicts = []
    labels: set[Path] = set()
    read_already: set[Path] = set()
    for image_id, path in enumerate(list_images(image_dirs, tree, report), 1):
        texts, source = None, ""
        if gt_candidates is not None:
            candidates = gt_candidates(path)
            labels.update(candidates)
            # Not Path.is_file, which fails on names that are too long for a file system.
            found = next((p for p in candidates if os.path.isfile(p)), None)
            if found is None:
                raise FileNotFoundError(
                    f"{candidates[0]}: no ground truth for {path}. Add the file (an empty one for "
                    "an image without words) or remove the image."
                )
            if found in read_already:
                report.count(report.notes, "images that share a label file", path.name)
            read_already.add(found)
            if not LISTING.get():
                texts, source = read(found, report), found.name
        if LISTING.get():
            continue
        record = make_record(path, image_id, texts, source, report)
        size = (record["height"], record["width"])
        if original_size is not None and size != tuple(original_size):
            record["restore_size"] = tuple(original_size)
            report.restorable += 1
        dataset_dicts.append(record)
    note_unused_labels(labels, report)
    return dataset_dicts, check_report(report, str(image_dirs[0]))


def make_record(
    path: str | Path,
    image_id: int | str,
    texts: Iterable[TextAnnotation] | None,
    source: str,
    report: ReadReport,
    *,
    header: ImageHeader | None = None,
    frame: str = "stored",
    declared: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Make the dict of one image.

    Images that EXIF turns were annotated by some tools as stored and by others as shown. The
    annotations are taken for what fits: where they leave one of the two frames, it is the other.

    Args:
        path: the image.
        image_id: unique in the dataset.
        texts: its texts; None where there is no ground truth.
        source: the ground truth's name in the report.
        header: the image's, if it is known; else read from the file.
        frame: "stored" or "shown": what annotations that fit both frames refer to. Benchmarks are
            annotated on the pixels as stored (MMOCR, docs of its detection datasets).
        declared: (height, width) of the image that was annotated, where the ground truth has it.
            It decides the frame, and texts of an image that has since been resized are scaled.

    Raises:
        FileNotFoundError: there is no such image.
        CorruptImageError: the image's header cannot be read.
        GroundTruthError: the image has another shape than the one that was annotated.
    """
    header = _named_header(path, source) if header is None else header
    height, width = header.shown
    record = {
        "file_name": str(path),
        "height": height,
        "width": width,
        "image_id": image_id,
    }
    report.images += 1
    if texts is None:
        report.count(report.notes, "images without public ground truth", Path(path).name)
        return record
    texts = list(texts)
    if declared is not None:
        frame = _declared_frame(texts, declared, header, f"{source}: {path}", report)
    if header.orientation != 1 and texts and _is_on_stored(texts, header, frame):
        for text in texts:
            text.move(header.turn)
        report.count(report.repaired, "words turned with their image (EXIF)", Path(path).name)
    record["annotations"] = annotations_of(texts, (height, width), source, report)
    return record


def annotations_of(
    texts: Iterable[TextAnnotation], size: tuple[int, int], source: str, report: ReadReport
) -> list[dict[str, Any]]:
    """Make detectron2 annotations of one image's texts, repairing, dropping and counting.

    Args:
        texts: in pixels of the image as detectron2 reads it; ``size`` is its (height, width).
        source: the ground truth's name in the report.
    """
    from detectron2.structures import BoxMode

    from ...structures.repair import repair_polygon

    height, width = size
    annotations = []
    for text in texts:
        place = f"{source}:{text.place}" if text.place else source
        ring, fault = repair_polygon(text.points)
        if ring is None:
            report.count(report.dropped, str(fault), place)
            continue
        if fault is not None:
            report.count(report.repaired, fault, place)
        (x0, y0), (x1, y1) = ring.min(axis=0).tolist(), ring.max(axis=0).tolist()
        if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
            report.count(report.notes, "words outside their image", place)
        if max(x1 - x0, y1 - y0) <= 1:
            report.count(report.notes, _WITHIN_A_PIXEL, place)
        annotations.append(
            {
                "bbox": [x0, y0, x1, y1],
                "bbox_mode": BoxMode.XYXY_ABS,
                "category_id": 0,
                "segmentation": [ring.ravel().tolist()],
                "iscrowd": int(text.ignore),
                "text": text.text,
                **text.extra,
            }
        )
        if len(text.characters):
            annotations[-1]["characters"] = text.characters.reshape(-1, 8).tolist()
    report.words += len(annotations)
    report.ignored += sum(a["iscrowd"] for a in annotations)
    return annotations


def _named_header(path: str | Path, source: str) -> ImageHeader:
    try:
        return read_header(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{path}: no such image, though {source} names it. Make the dataset whole again, or "
            "remove the entry."
        ) from error


def _declared_frame(
    texts: Sequence[TextAnnotation],
    declared: tuple[int, int],
    header: ImageHeader,
    place: str,
    report: ReadReport,
) -> str:
    """The frame of a declared size, after scaling texts that were annotated at another size."""
    ratios = {
        frame: (size[1] / declared[1], size[0] / declared[0])
        for frame, size in (("shown", header.shown), ("stored", header.stored))
    }
    # Rounding of sizes changes the aspect of all but tiny images by less.
    fitting = [frame for frame, (x, y) in ratios.items() if abs(x / y - 1) < 0.02]
    if not fitting:
        height, width = header.shown
        raise GroundTruthError(
            f"{place} is {width}x{height}, its ground truth was made for {declared[1]}x"
            f"{declared[0]} (width x height). Restore the original image."
        )
    frame = min(fitting, key=lambda frame: abs(ratios[frame][0] - 1))
    if max(abs(ratio - 1) for ratio in ratios[frame]) > 1e-9:
        for text in texts:
            text.move(lambda points: points * np.array(ratios[frame]))
        report.count(report.repaired, "words scaled with their resized image", place)
    return frame


def _is_on_stored(texts: Sequence[TextAnnotation], header: ImageHeader, frame: str) -> bool:
    """Whether points fit the stored pixels better than the turned ones."""
    points = np.concatenate([text.points for text in texts])

    def outside(size: tuple[int, int]) -> int:
        # A pixel of tolerance: some tools count corners from 1, or round up.
        return int(((points < -1) | (points > np.array(size[::-1]) + 1)).any(axis=1).sum())

    stored, shown = outside(header.stored), outside(header.shown)
    return stored < shown or (stored == shown and frame == "stored")


class GroundTruthError(ValueError):
    """A ground truth file that cannot be read; the message names file, place and fix."""


def read_text(
    path: str | Path, report: ReadReport | None = None, encodings: Iterable[str] = ()
) -> str:
    """Read a text file as UTF-8, as its byte order mark asks, or in the first encoding that fits.

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
    """:func:`read_text` of a file that is in memory."""
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
    """Call ``parse`` with each line that is not blank, and its number from 1.

    Raises:
        GroundTruthError: ``parse`` raised a ValueError; the message names ``path`` and the line.
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

    Raises:
        ValueError: a field is not a number, or not finite; the message shows the line and the
            format that was expected.
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
    """A line as a message shows it: quoted and cut off."""
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
