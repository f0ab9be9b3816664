"""Reader of labelme and X-AnyLabeling: one JSON file per image.

``{"imagePath", "imageHeight", "imageWidth", "shapes": [{"label", "points", "shape_type",
"description", "flags"}]}``. Shapes are polygons; rectangles, by two opposite corners or by four;
rotated ones by four (``oriented_rectangle``, in X-AnyLabeling ``rotation``); circles by centre and
border; and masks, by two corners and a PNG in base64. X-AnyLabeling marks a shape as ``difficult``.
The transcription is the description where there is one, else the label.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...structures import DONT_CARE
from ...utils.names import natural_key
from ..image_io import IMAGE_SUFFIXES
from .ground_truth import GroundTruthError, TextAnnotation, make_record
from .json_files import declared_size, expect, json_points, read_json
from .report import ReadReport, ReadResult, check_report
from .shapes import circle_ring, mask_outline

__all__ = ["read_labelme"]

#: Labels and flags of a don't-care region.
IGNORED = {DONT_CARE, "ignore", "difficult", "illegible"}


def read_labelme(image_dir: str | Path, labels: str | Path, name: str = "labelme") -> ReadResult:
    """Read a folder of labelme's JSON files.

    Args:
        image_dir: the folder of the images. A label file belongs to the image of its own name;
            where there is none, to that which ``imagePath`` names.
        labels: the folder of the JSON files, often the same one.
        name: the dataset's name in the report.

    Returns:
        Dataset dicts in natural order of the JSON files, ``image_id`` counted from 1. ``iscrowd``
        is 1 where the label, or a flag that is set, is one of "###", "ignore", "difficult" and
        "illegible", and for shapes that are ``difficult``. Shapes without an area (points, lines)
        are left out and counted, and so are images without a label file.

    Raises:
        FileNotFoundError: no JSON file, or an image is missing.
        GroundTruthError: a file is not as it should be, or two belong to one image.
    """
    files = sorted(Path(labels).glob("*.json"), key=lambda path: natural_key(path.stem))
    if not files:
        raise FileNotFoundError(f"{labels}: holds no .json file of labelme.")
    report = ReadReport(name)
    dataset_dicts = []
    found = sorted(Path(image_dir).iterdir()) if Path(image_dir).is_dir() else []
    images = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES]
    by_stem = {path.stem: path for path in images}
    label_files: dict[Path, Path] = {}
    for image_id, path in enumerate(files, 1):
        content = expect(read_json(path, report), dict, str(path))
        if "images" in content:
            raise GroundTruthError(f"{path}: is a COCO file. Name it instead of its folder.")
        image = _find_image(Path(image_dir), path, content, by_stem, report)
        if image in label_files:
            raise GroundTruthError(
                f"{path}: is the second label file of {image.name}, after {label_files[image].name}"
                ". Remove or rename one of them."
            )
        label_files[image] = path
        texts = _texts(content, path, report)
        declared = declared_size(content, "imageHeight", "imageWidth", str(path))
        dataset_dicts.append(
            # labelme shows images turned by EXIF.
            make_record(
                image,
                image_id,
                texts,
                path.name,
                report,
                frame="shown",
                declared=declared,
            )
        )
    for image in images:
        if image not in label_files:
            report.count(report.notes, "images without a label file, left out", image.name)
    return dataset_dicts, check_report(report, str(labels))


def _find_image(
    folder: Path,
    path: Path,
    content: dict[str, Any],
    by_stem: dict[str, Path],
    report: ReadReport,
) -> Path:
    """The image of a label file; an ``imagePath`` of before a renaming is counted."""
    # The path as labelme saw it, perhaps on Windows.
    named = re.split(r"[\\/]", expect(content.get("imagePath"), str, f"{path}, 'imagePath'"))[-1]
    own = by_stem.get(path.stem)
    # Of a.jpg and a.png the one that is named.
    if own is None or Path(named).stem == path.stem:
        return folder / named
    report.count(
        report.repaired, "imagePath of another image: that of its own name is read", path.name
    )
    return own


def _texts(content: dict[str, Any], path: Path, report: ReadReport) -> list[TextAnnotation]:
    texts = []
    for number, shape in enumerate(expect(content.get("shapes"), list, f"{path}, 'shapes'")):
        place = f"{path}, shapes[{number}]"
        points = _ring(expect(shape, dict, place), place)
        if points is None:
            report.count(report.dropped, "shapes that are no area", place)
            continue
        label, flags = str(shape.get("label", "")), shape.get("flags")
        marks = {label, *(k for k, v in (flags if isinstance(flags, dict) else {}).items() if v)}
        ignore = bool(marks & IGNORED) or bool(shape.get("difficult"))
        description = shape.get("description")
        # "text" with an empty description is the class of a text without transcription.
        text = description if description or (label == "text" and description == "") else label
        texts.append(TextAnnotation(points, str(text), ignore, f"shapes[{number}]"))
    return texts


def _ring(shape: dict[str, Any], place: str) -> np.ndarray | None:
    """The shape's polygon, (N, 2); None for a shape that has no area."""
    kind = shape.get("shape_type") or "polygon"
    points = json_points(shape.get("points"), place)
    if kind in ("polygon", "rotation", "oriented_rectangle", "quadrilateral"):
        return points
    if kind == "rectangle" and len(points) == 4:
        return points
    if kind not in ("rectangle", "circle", "mask"):
        return None
    if len(points) != 2:
        raise GroundTruthError(
            f"{place}: a {kind} of {len(points)} points, not two. Correct or remove it."
        )
    if kind == "circle":
        return circle_ring(*points)
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    if kind == "rectangle":
        return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    mask = _mask(shape.get("mask"), (y1 - y0 + 1, x1 - x0 + 1), place)
    return mask_outline(mask) + np.array([x0, y0])


def _mask(text: Any, size: tuple[float, float], place: str) -> np.ndarray:
    """Decode a mask, (H, W) uint8, which has to be as large as its box."""
    try:
        with Image.open(
            io.BytesIO(base64.b64decode(expect(text, str, place), validate=True))
        ) as file:
            # Before it is decoded: a small file may hold a large image.
            if not np.allclose(file.size[::-1], size, atol=2):
                raise ValueError(f"{file.width}x{file.height} pixels for a box of another size")
            return np.array(file.convert("L"))
    except (
        ValueError,
        OSError,
        SyntaxError,
        Image.DecompressionBombError,
        binascii.Error,
    ) as error:
        raise GroundTruthError(
            f"{place}: a mask that cannot be read ({error}). Correct or remove it."
        ) from error
