"""Some of ICDAR2015's training images, without reading all thousand."""

from pathlib import Path
from typing import Any

from vlpt_d2.data.datasets.ground_truth import make_record
from vlpt_d2.data.datasets.icdar2015 import read_quad_file
from vlpt_d2.data.datasets.report import ReadReport


def icdar2015_dicts(root: Path, numbers: range) -> list[dict[str, Any]]:
    """The dataset dicts of some training images, which are numbered from 0 to 999.

    Args:
        root: of the fixture ``icdar2015_root``.
        numbers: of the images.
    """
    labels = root / "ch4_training_localization_transcription_gt"
    dicts = []
    for number in numbers:
        name = f"img_{number + 1}"
        image = root / "ch4_training_images" / f"{name}.jpg"
        words = read_quad_file(labels / f"gt_{name}.txt")
        dicts.append(make_record(image, number + 1, words, name, ReadReport(name)))
    return dicts
