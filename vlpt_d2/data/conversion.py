"""Dataset dicts written as label files: ICDAR, COCO, labelme or YOLO-OBB."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ..structures import DONT_CARE, is_dont_care, quadrilateral
from ..utils.atomic import write_text
from ..utils.json_lines import read_json_lines
from ..utils.locks import lock_folder
from ..utils.names import UniqueNames
from .datasets.icdar2015 import written_word
from .image_io import image_source, open_source, stored_size

__all__ = ["FORMATS", "coco_content", "convert_dataset", "labelme_content"]


# What is finished, an image a line, as long as the conversion is not.
_PROGRESS = "unfinished_conversion.jsonl"


@dataclass
class Conversion:
    """What was written.

    Attributes:
        images: images.
        texts: texts.
        losses: what the format has no room for -> number of texts.
        resumed: images that an earlier, interrupted run had written.
    """

    images: int = 0
    texts: int = 0
    losses: Counter[str] = field(default_factory=Counter)
    resumed: int = 0


def convert_dataset(
    dicts: Iterable[dict[str, Any]],
    folder: str | Path,
    form: str,
    images: str = "copy",
) -> Conversion:
    """Write ``images/`` and the labels: ``labels/``, of COCO ``labels.json``.

    Images keep their names, but those that share one, as images of several folders may, get a
    number. An interrupted conversion resumes; until it is finished the folder holds
    ``unfinished_conversion.jsonl``.

    Args:
        dicts: dataset dicts.
        folder: is created; it must be empty, not exist, or hold an interrupted conversion of the
            same.
        form: one of :data:`FORMATS`.
        images: "copy" or "link" the image files; those in shards are copied. An image that EXIF
            turns, one stored as a resized copy, and a rendered one are re-encoded, as PNG, so that
            the labels fit whatever reads them.

    Returns:
        What was written and what was lost.

    Raises:
        ValueError: no such format or way, or the folder holds something else.
        FolderInUseError: another process writes to the folder.
        FileNotFoundError, CorruptImageError: an image is missing or cannot be read.
    """
    if form not in FORMATS:
        raise ValueError(f"no format {form!r} can be written; there are {', '.join(FORMATS)}")
    if images not in ("copy", "link"):
        raise ValueError(f"images are copied or linked, not {images!r}")
    folder = Path(folder)
    with lock_folder(folder):
        done = _begun(folder, {"format": form, "images": images})
        names, result, records = UniqueNames(), Conversion(resumed=len(done)), []
        with (folder / _PROGRESS).open("a", encoding="utf-8") as progress:
            for number, record in enumerate(dicts, 1):
                line = _convert_one(folder, dict(record), form, images, number, names, done)
                if number > len(done):
                    progress.write(json.dumps(line) + "\n")
                    progress.flush()
                result.images += 1
                result.texts += line["texts"]
                result.losses.update(line["losses"])
                records += line["records"]
        if result.images < len(done):
            raise _other_data(folder, result.images + 1)
        if form == "coco":
            content = json.dumps(coco_content(records), ensure_ascii=False)
            write_text(folder / "labels.json", content)
        (folder / _PROGRESS).unlink()
    return result


def _begun(folder: Path, order: dict[str, str]) -> list[dict[str, Any]]:
    """What an interrupted conversion has finished; makes the folder ready for the rest."""
    lines = read_json_lines(folder / _PROGRESS)
    if not lines:
        # Hidden files, such as the lock, are no content; nor is a progress file without progress.
        if any(not path.name.startswith((".", _PROGRESS)) for path in folder.iterdir()):
            raise ValueError(f"{folder} is not empty: name another folder")
        write_text(folder / _PROGRESS, json.dumps(order) + "\n")
    elif lines[0] != order:
        raise ValueError(
            f"{folder} holds an unfinished conversion to {lines[0].get('format')} (images: "
            f"{lines[0].get('images')}): finish it in the same way, or name another folder"
        )
    (folder / "images").mkdir(exist_ok=True)
    if order["format"] != "coco":
        (folder / "labels").mkdir(exist_ok=True)
    return lines[1:]


def _convert_one(
    folder: Path,
    record: dict[str, Any],
    form: str,
    images: str,
    number: int,
    names: UniqueNames,
    done: list[dict[str, Any]],
) -> dict[str, Any]:
    """Write an image and its labels unless that is done; return its line of the progress."""
    content = {key: value for key, value in record.items() if key != "image_bytes"}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    if number <= len(done):
        line = done[number - 1]
        if line.get("source") != digest:
            raise _other_data(folder, number)
        names.take(line["stem"])
        return line
    # Folders may hold files of the same name.
    stem = names(Path(record["file_name"]).stem, number)
    path, annotations, (height, width) = _place_image(record, folder / "images", stem, images)
    image = {"file_name": path.name, "height": int(height), "width": int(width)}
    losses: Counter[str] = Counter()
    records = []
    if form == "coco":
        records.append({"image": image, "annotations": annotations})
    else:
        name, labels = _WRITERS[form]
        for annotation in annotations:
            if annotation.get("characters"):
                losses["boxes of characters"] += 1
            if len(annotation["segmentation"]) > 1:
                losses["all but the first of several polygons"] += 1
        written = labels(image, annotations, losses)
        (folder / "labels" / name.format(stem)).write_text(written, "utf-8", newline="\n")
    return {
        "source": digest,
        "stem": stem,
        "texts": len(annotations),
        "losses": losses,
        "records": records,
    }


def _other_data(folder: Path, number: int) -> ValueError:
    return ValueError(
        f"{folder} holds an unfinished conversion of other data (from image {number} on): name "
        "another folder, or delete this one"
    )


def _place_image(
    record: dict[str, Any], folder: Path, stem: str, images: str
) -> tuple[Path, list[dict[str, Any]], tuple[int, int]]:
    """Put an image into the folder; return its path, annotations and (height, width)."""
    # Imported here: it loads torch, which the writers of labels do without.
    from .sample import load_sample

    source = Path(record["file_name"])
    drawn = "render" in record or "restore_size" in record or _is_turned(record)
    path = folder / f"{stem}{'.png' if drawn else source.suffix}"
    path.unlink(missing_ok=True)  # of an interrupted run
    if drawn:
        pixels, texts = load_sample(record, "RGB")
        Image.fromarray(pixels).save(path)
        return path, texts.to_annotations(), pixels.shape[:2]
    if images == "link" and "image_bytes" not in record:
        os.symlink(source.resolve(), path)
    else:
        with open_source(image_source(record)) as file, open(path, "wb") as copy:
            shutil.copyfileobj(file, copy)
    return path, record.get("annotations", []), (record["height"], record["width"])


def _is_turned(record: dict[str, Any]) -> bool:
    return stored_size(image_source(record), record["file_name"])[1] != 1


def _icdar_labels(
    image: dict[str, Any], annotations: list[dict[str, Any]], losses: Counter[str]
) -> str:
    lines = []
    for annotation in annotations:
        corners = _quadrilateral(annotation, losses)
        text = annotation.get("text", "")
        if annotation.get("iscrowd", 0):
            if text and not is_dont_care(text):
                losses["words of ignored texts"] += 1
            text = DONT_CARE
        elif "\n" in text or "\r" in text:
            losses["line ends within words"] += 1
            text = " ".join(text.split())
        elif is_dont_care(text):
            losses["the word ### of a text that counts"] += 1
            text = ""
        else:
            text = written_word(text)
        lines.append(",".join(_number(v) for v in corners.ravel()) + f",{text}\n")
    return "".join(lines)


def _yolo_labels(
    image: dict[str, Any], annotations: list[dict[str, Any]], losses: Counter[str]
) -> str:
    lines = []
    for annotation in annotations:
        if annotation.get("iscrowd", 0):
            losses["ignored texts, left out"] += 1
            continue
        losses["transcriptions"] += bool(annotation.get("text"))
        shares = _quadrilateral(annotation, losses) / (image["width"], image["height"])
        lines.append("0 " + " ".join(f"{v:.8g}" for v in shares.ravel()) + "\n")
    return "".join(lines)


def _labelme_labels(
    image: dict[str, Any], annotations: list[dict[str, Any]], losses: Counter[str]
) -> str:
    size = image["height"], image["width"]
    content = labelme_content(f"../images/{image['file_name']}", annotations, size)
    return json.dumps(content, ensure_ascii=False, indent=1)


# Format -> the name of an image's label file, and what makes its content.
_WRITERS: dict[str, tuple[str, Callable[..., str]]] = {
    "icdar": ("gt_{}.txt", _icdar_labels),
    "labelme": ("{}.json", _labelme_labels),
    "yolo-obb": ("{}.txt", _yolo_labels),
}
#: COCO's has one file for all images.
FORMATS = ("coco", *_WRITERS)


def labelme_content(
    image: str, annotations: list[dict[str, Any]], size: tuple[int, int]
) -> dict[str, Any]:
    """What a labelme file of an image holds.

    Args:
        image: the image's path, from the folder of the file.
        annotations: in detectron2's format, with "text"; a "score" is kept.
        size: (height, width) of the image.
    """
    shapes = [
        {
            "label": "text",
            "description": annotation.get("text", ""),
            "points": _ring(annotation).tolist(),
            "shape_type": "polygon",
            "flags": {"ignore": bool(annotation.get("iscrowd", 0))},
            "group_id": None,
            **({"score": annotation["score"]} if "score" in annotation else {}),
        }
        for annotation in annotations
    ]
    return {
        "version": "5.0.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": image,
        "imageData": None,
        "imageHeight": size[0],
        "imageWidth": size[1],
    }


def coco_content(records: list[dict[str, Any]]) -> dict[str, Any]:
    """What a COCO file holds.

    Args:
        records: for each image "image", with its "file_name", "height" and "width", and
            "annotations" in detectron2's format, with "text"; a "score", "characters" and their
            "confidence" are kept.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, record in enumerate(records, 1):
        images.append({"id": image_id, **record["image"]})
        for annotation in record["annotations"]:
            rings = [_points(ring) for ring in annotation["segmentation"]]
            corners = np.concatenate(rings)
            (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
            areas = [abs(float(cv2.contourArea(ring.astype(np.float32)))) for ring in rings]
            kept = ("score", "characters", "confidence")
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
                    "area": sum(areas),
                    "segmentation": [ring.ravel().tolist() for ring in rings],
                    "iscrowd": int(annotation.get("iscrowd", 0)),
                    "text": annotation.get("text", ""),
                    **{key: annotation[key] for key in kept if key in annotation},
                }
            )
    categories = [{"id": 1, "name": "text"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def _ring(annotation: dict[str, Any]) -> np.ndarray:
    return _points(annotation["segmentation"][0])


def _points(ring: Any) -> np.ndarray:
    return np.reshape(ring, (-1, 2)).astype(np.float64)


def _quadrilateral(annotation: dict[str, Any], losses: Counter[str]) -> np.ndarray:
    """Four corners as they are; of other polygons the rectangle of least area around them."""
    ring = _ring(annotation)
    if len(ring) == 4:
        return ring
    losses["polygons, written as rectangles around them"] += 1
    return quadrilateral(ring)


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")
