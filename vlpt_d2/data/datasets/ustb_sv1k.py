"""Reader of USTB-SV1K: 1,000 street view images with words in any direction.

Format, as public code reads it: ``0001.gt`` next to ``0001.jpg``, one line per word, ``index
difficult x y w h theta "word" direction``. The rectangle is MSRA-TD500's; ``direction``, 1 for near
horizontal and 2 for near vertical, follows from it and is not kept. The dataset's own description
(prir.ustb.edu.cn/TexStar/MOMV-text-detection, mirrored at github.com/onionych/USTB-SV1K) comes as a
picture.
"""

from __future__ import annotations

from pathlib import Path

from .dataset import TextDataset
from .ground_truth import TextAnnotation, parse_lines, read_folders, read_text, shown
from .msra_td500 import parse_rotated_line
from .report import ReadReport, ReadResult

__all__ = ["read_ustb_file", "read_ustb_sv1k"]

_TREE = """expected, for USTB-SV1K, under DETECTRON2_DATASETS:
  ustb_sv1k/
    training/    0001.jpg, 0001.gt ... (500 of each)
    testing/     500 of each
datasets/README.md lists where to get them."""
_FOLDERS = {"train": "training", "test": "testing"}


def read_ustb_sv1k(root: str | Path, split: str, name: str = "ustb_sv1k") -> ReadResult:
    """Read a split (:attr:`.dataset.TextDataset.read`).

    ``difficult`` (0 or 1) is kept in each annotation; difficult words are ``iscrowd`` too.
    """
    return read_folders(
        [Path(root) / _FOLDERS[split]],
        lambda image: [image.with_suffix(".gt"), image.with_suffix(".GT")],
        read_ustb_file,
        tree=_TREE,
        name=name,
    )


def read_ustb_file(path: str | Path, report: ReadReport | None = None) -> list[TextAnnotation]:
    """Read one ``.gt`` file.

    Raises:
        GroundTruthError: a line is malformed.
    """

    def annotation(line: str, number: int) -> TextAnnotation:
        numbers, quote, rest = line.partition('"')
        word, closing, direction = rest.rpartition('"')
        if not (quote and closing and direction.strip().isdecimal()):
            raise ValueError(
                f'{shown(line)}: expected index difficult x y w h theta "word" direction. '
                "Correct or remove the line."
            )
        points, difficult = parse_rotated_line(numbers)
        return TextAnnotation(points, word, difficult, str(number), {"difficult": int(difficult)})

    return parse_lines(read_text(path, report), path, annotation)


# Its archive is unpacked by hand.
DATASET = TextDataset(
    "ustb_sv1k",
    "USTB-SV1K",
    read_ustb_sv1k,
    ("train", "test"),
    protocol="td500",
)
