"""Reader of labelme: one JSON file per image.

``{"imagePath", "imageHeight", "imageWidth", "shapes": [{"label", "points", "shape_type",
"description", "flags"}]}``; polygons, and rectangles by two opposite corners. The transcription is
the description where there is one, else the label.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ...utils.names import natural_key
from .json_files import declared_size, expect, json_points, read_json
from .records import DONT_CARE, Text, finish, make_record
from .report import ReadReport
from .text_files import GroundTruthError

__all__ = ["read_labelme"]

#: Labels and flags that say "don't care".
IGNORED = {DONT_CARE, "ignore", "difficult", "illegible"}


def read_labelme(
    image_dir: str | Path, labels: str | Path, name: str = "labelme"
) -> tuple[list[dict[str, Any]], ReadReport]:
    """Read a folder of labelme's JSON files.

    Args:
        image_dir: the folder of the images; ``imagePath`` is taken for a name in it.
        labels: the folder of the JSON files, often the same one.
        name: the dataset's name in the report.

    Returns:
        Dataset dicts in natural order of the JSON files, ``image_id`` counted from 1. ``iscrowd``
        is 1 where the label, or a flag that is set, is one of "###", "ignore", "difficult" and
        "illegible". Shapes without an area (points, lines) are left out and counted.

    Raises:
        FileNotFoundError: no JSON file, or an image is missing.
        GroundTruthError: a file is not as it should be.
    """
    files = sorted(Path(labels).glob("*.json"), key=lambda path: natural_key(path.stem))
    if not files:
        raise FileNotFoundError(f"{labels}: holds no .json file of labelme.")
    report = ReadReport(name)
    dataset_dicts = []
    for image_id, path in enumerate(files, 1):
        content = expect(read_json(path, report), dict, str(path))
        # The path as labelme saw it, perhaps on Windows.
        file_name = re.split(
            r"[\\/]", expect(content.get("imagePath"), str, f"{path}, 'imagePath'")
        )
        texts = _texts(content, path, report)
        declared = declared_size(content, "imageHeight", "imageWidth", str(path))
        dataset_dicts.append(
            # labelme shows images as EXIF says.
            make_record(
                Path(image_dir) / file_name[-1],
                image_id,
                texts,
                path.name,
                report,
                frame="shown",
                declared=declared,
            )
        )
    return dataset_dicts, finish(report, str(labels))


def _texts(content: dict[str, Any], path: Path, report: ReadReport) -> list[Text]:
    texts = []
    for number, shape in enumerate(expect(content.get("shapes"), list, f"{path}, 'shapes'")):
        place = f"{path}, shapes[{number}]"
        shape = expect(shape, dict, place)
        kind = shape.get("shape_type") or "polygon"
        points = json_points(shape.get("points"), place)
        if kind == "rectangle":
            if len(points) != 2:
                raise GroundTruthError(f"{place}: a rectangle of {len(points)} corners, not two.")
            (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
            points = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        elif kind not in ("polygon", "rotation", "quadrilateral"):
            report.count(report.dropped, "shapes that are no area", place)
            continue
        label, flags = str(shape.get("label", "")), shape.get("flags")
        marks = {label, *(k for k, v in (flags if isinstance(flags, dict) else {}).items() if v)}
        description = shape.get("description")
        # "text" with an empty description is the class of a text without transcription.
        text = description if description or (label == "text" and description == "") else label
        texts.append(Text(points, str(text), bool(marks & IGNORED), f"shapes[{number}]"))
    return texts
