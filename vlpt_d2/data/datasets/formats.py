"""Folders of the user's own, in any of the formats that are read here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...utils.nearest import did_you_mean
from .coco_json import read_coco_json
from .ctw1500 import read_ctw1500_file
from .dataset import register_text_dataset
from .ground_truth import TextReader, read_folders
from .icdar2013 import read_icdar2013_file
from .icdar2015 import read_quad_file
from .image_files import NO_LABELS
from .labelme import read_labelme
from .msra_td500 import read_msra_file
from .report import ReadResult, load_logged
from .total_text import read_total_text_file
from .yolo import read_yolo

__all__ = ["FORMATS", "guess_format", "read_folder", "register_folder"]


def _per_image(read: TextReader, *suffixes: str) -> Callable[..., Any]:
    """A reader of a folder that holds one file per image, its name ending in a suffix."""

    def read_folder_of_files(image_dir: str | Path, labels: str | Path, name: str) -> ReadResult:
        folder = Path(labels)
        tree = "expected a folder of images and one with a ground truth file for each image"
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder;\n{tree}")
        return read_folders(
            [image_dir],
            lambda image: [
                folder / f"{prefix}{image.stem}{suffix}"
                for suffix in suffixes
                for prefix in ("gt_", "", "poly_gt_", "000")
            ],
            read,
            tree=tree,
            name=name,
        )

    return read_folder_of_files


#: Format -> reader of (folder of images, labels, name): labels are a folder, of COCO a file.
FORMATS: dict[str, Callable[..., ReadResult]] = {
    "coco": read_coco_json,
    "ctw1500": _per_image(read_ctw1500_file, ".xml", ".txt"),
    "icdar": _per_image(read_quad_file, ".txt"),
    "icdar2013": _per_image(read_icdar2013_file, ".txt"),
    "icdar-mlt": _per_image(partial(read_quad_file, script=True), ".txt"),
    "labelme": read_labelme,
    "msra-td500": _per_image(read_msra_file, ".gt"),
    "total-text": _per_image(read_total_text_file, ".mat", ".txt"),
    "yolo-obb": read_yolo,
}


def guess_format(labels: str | Path) -> str:
    """The format of label files by their suffix: a JSON file is COCO, JSON files are labelme's,
    ``.txt`` files ICDAR's, those without a comma YOLO's, ``.gt`` files MSRA-TD500's.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: there are none, or of several kinds.
    """
    path = Path(labels)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder of labels")
    if path.is_file():
        return "coco"
    suffixes = {".json": "labelme", ".txt": "icdar", ".gt": "msra-td500"}
    found = {p.suffix.lower() for p in path.iterdir()} & set(suffixes)
    if len(found) != 1:
        kinds = " and ".join(sorted(found)) or "no label"
        raise ValueError(
            f"{path} has {kinds} files; name their format with --format: {', '.join(FORMATS)}"
        )
    form = suffixes[found.pop()]
    if form == "icdar":
        files = (p for p in sorted(path.glob("*.txt")) if p.name not in NO_LABELS)
        text = next(filter(None, (file.read_bytes().strip() for file in files)), b",")
        form = form if b"," in text else "yolo-obb"
    return form


def read_folder(form: str, image_dir: str | Path, labels: str | Path, name: str) -> ReadResult:
    """Read a folder of images with labels in one of :data:`FORMATS`.

    Args:
        form: the format.
        image_dir: the folder of the images.
        labels: the folder of the label files, or the JSON file (COCO).
        name: the dataset's name in the report.

    Raises:
        KeyError: no such format.
        FileNotFoundError, GroundTruthError, CorruptImageError: see the readers.
    """
    if form not in FORMATS:
        raise KeyError(f"no format {form!r}{did_you_mean(form, FORMATS)}; {', '.join(FORMATS)}")
    return FORMATS[form](image_dir, labels, name=name)


def register_folder(
    name: str,
    form: str,
    image_dir: str | Path,
    labels: str | Path,
    evaluator_type: str = "icdar2015",
    note: str = "",
) -> None:
    """Register a folder of images of your own, see :func:`read_folder`; it is read on first use.

    Args:
        name: the name for ``cfg.DATASETS.TRAIN`` and ``TEST``.
        evaluator_type: the protocol that measures it.
        note: added to the error of a folder or a file of labels that is not there.

    Raises:
        KeyError: no such format.
        ValueError: the name is registered already, for other folders or another protocol.
    """
    if form not in FORMATS:
        raise KeyError(f"no format {form!r}{did_you_mean(form, FORMATS)}; {', '.join(FORMATS)}")
    load = partial(_load_folder, form, image_dir, labels, name, note)
    register_text_dataset(name, load, evaluator_type, (form, str(image_dir), str(labels)))


def _load_folder(
    form: str, image_dir: str | Path, labels: str | Path, name: str, note: str
) -> Sequence[dict[str, Any]]:
    try:
        return load_logged(read_folder, form, image_dir, labels, name)
    except FileNotFoundError as error:
        if note and not (Path(image_dir).is_dir() and Path(labels).exists()):
            raise FileNotFoundError(f"{error}\n{note}") from error
        raise
