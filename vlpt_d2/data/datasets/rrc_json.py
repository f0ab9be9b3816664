"""Reader of ArT and LSVT, which share one JSON format.

Format (rrc.cvc.uab.es, ch=14 and ch=16): one object, image stem -> list of texts ``{"points":
[[x, y], ...], "transcription": str, "illegibility": bool}``, in ArT with ``"language"`` too;
``###`` or ``illegibility`` marks what is not to be read. The ground truth of the test images is
not public.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...structures import is_dont_care
from .dataset import IMAGES, TextDataset, flat_archive, own_archive, single_file
from .ground_truth import GroundTruthError, TextAnnotation, make_record
from .image_files import list_images
from .json_files import expect, json_points, read_json
from .report import LISTING, ReadReport, ReadResult, check_report

__all__ = ["read_art", "read_lsvt", "read_rrc_json"]

_TREE_ART = """expected, for ICDAR2019-ArT, under DETECTRON2_DATASETS:
  icdar2019_art/
    train_images/        gt_0.jpg ... gt_5602.jpg
    train_labels.json
    test_images/         test_0.jpg ... (4563)
datasets/README.md lists where to get them."""
_TREE_LSVT = """expected, for LSVT, under DETECTRON2_DATASETS:
  lsvt/
    train_full_images_0/, train_full_images_1/   gt_0.jpg ... gt_29999.jpg
    train_full_labels.json
datasets/README.md lists where to get them."""
_EXPECTED = 'expected {"points": [[x, y], ...], "transcription": str, "illegibility": bool}'


def read_art(root: str | Path, split: str, name: str = "icdar2019_art") -> ReadResult:
    """Read a split, "train" or "test" (images only), of ICDAR2019-ArT.

    See :func:`read_rrc_json`.
    """
    root = Path(root)
    labels = None if split == "test" else root / f"{split}_labels.json"
    return read_rrc_json([root / f"{split}_images"], labels, name, _TREE_ART)


def read_lsvt(root: str | Path, split: str = "train", name: str = "lsvt") -> ReadResult:
    """Read the fully annotated training images of LSVT; see :func:`read_rrc_json`."""
    root = Path(root)
    folders = sorted(root.glob("train_full_images_*")) or [root / "train_full_images_0"]
    return read_rrc_json(folders, root / "train_full_labels.json", name, _TREE_LSVT)


def read_rrc_json(
    image_dirs: Sequence[str | Path], labels: str | Path | None, name: str, tree: str
) -> ReadResult:
    """Read the images of folders with the texts of one JSON file.

    Args:
        image_dirs: folders of images; where a folder holds one of its own name, as the archives
            do, that one.
        labels: the JSON file, keyed by image stem; None where there is no public ground truth.
        name: the dataset's name in the report.
        tree: the expected tree, for messages.

    Returns:
        Dataset dicts in natural order of the file names, and the report. ``iscrowd`` is 1 for
        what is illegible; ``"language"`` is kept where it is given.

    Raises:
        FileNotFoundError: a folder or the JSON file is missing, or an image has no entry.
        GroundTruthError: the JSON file cannot be read.
    """
    report = ReadReport(name)
    image_dirs = [p / p.name if (p / p.name).is_dir() else p for p in map(Path, image_dirs)]
    images = list_images(image_dirs, tree, report)
    if labels is not None and not Path(labels).is_file():
        raise FileNotFoundError(f"{labels}: no such file;\n{tree}")
    if LISTING.get():
        return [], report
    entries: dict[str, Any] | None = None
    if labels is not None:
        entries = expect(read_json(labels, report), dict, str(labels))
    dataset_dicts = []
    for image_id, path in enumerate(images, 1):
        texts = None
        if entries is not None:
            if path.stem not in entries:
                raise FileNotFoundError(f"{labels}: no entry {path.stem!r} for {path}.")
            place = f"{labels}, {path.stem}"
            texts = _texts(entries.pop(path.stem), place)
        source = f"{Path(labels).name}:{path.stem}" if labels else ""
        dataset_dicts.append(make_record(path, image_id, texts, source, report))
    for stem in entries or ():
        report.count(report.dropped, "entries without an image", stem)
    return dataset_dicts, check_report(report, str(labels))


def _texts(entries: Any, place: str) -> list[TextAnnotation]:
    expect(entries, list, place)
    texts = []
    for number, entry in enumerate(entries, 1):
        here = f"{place}, text {number}"
        if not isinstance(entry, dict) or "points" not in entry:
            raise GroundTruthError(f"{here}: {_EXPECTED}. Correct or remove it.")
        text = str(entry.get("transcription", ""))
        ignore = is_dont_care(text) or bool(entry.get("illegibility", False))
        extra = {"language": entry["language"]} if "language" in entry else {}
        points = json_points(entry["points"], here)
        texts.append(TextAnnotation(points, text, ignore, str(number), extra))
    return texts


DATASETS = (
    TextDataset(
        "icdar2019_art",
        "ICDAR2019-ArT",
        read_art,
        ("train", "test"),
        submission_formats={"test": "art"},
        archives=(
            own_archive("train_images.tar.gz", IMAGES),
            single_file("train_labels.json"),
            flat_archive("test_part1_images.tar.gz", "test_images", IMAGES),
            flat_archive("test_part2_images.tar.gz", "test_images", IMAGES),
        ),
    ),
    TextDataset(
        "lsvt",
        "LSVT",
        read_lsvt,
        ("train",),
        archives=(
            own_archive("train_full_images_0.tar.gz", IMAGES),
            own_archive("train_full_images_1.tar.gz", IMAGES),
            single_file("train_full_labels.json"),
        ),
    ),
)
