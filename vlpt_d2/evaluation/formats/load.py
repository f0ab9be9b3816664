"""Ground truth and results of a benchmark, from two folders or archives to arrays of points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...data.datasets.report import ReadReport
from ...data.datasets.text_files import GroundTruthError
from ...structures.quadrilateral import is_clockwise
from ...utils.names import natural_key
from .benchmarks import FORMATS, FileFormat
from .folders import FileError, list_files, unpacked
from .results import Detection, read_results
from .rules import RULES, WHOLE_FORMATS, FileRules

__all__ = ["ImageTexts", "LoadedSet", "load_set"]

# So much more of the detections' boxes has to lie on ground truths before x and y change places.
_CLEARLY = 2.0
# Formats in which a server insists on corners that run clockwise.
_CLOCKWISE = {"icdar2015", "icdar2017"}
# Where an image has ground truth in several formats, the first of these is read.
_PREFERRED = (".mat", ".xml", ".gt", ".txt")


@dataclass
class ImageTexts:
    """One image.

    Attributes:
        name: the image, as the names of its files have it.
        gt_polygons: per ground truth (N_i, 2) float64 points in pixels.
        gt_ignore: per ground truth, the benchmark's don't-care mark.
        gt_texts: per ground truth, the transcription, empty where there is none.
        det_polygons: per detection (M_i, 2) float64 points in pixels, in the order measured.
        scores: per detection, the confidence; None where the files have none.
        has_result: whether there is a result file.
    """

    name: str
    gt_polygons: list[np.ndarray]
    gt_ignore: list[bool]
    gt_texts: list[str]
    det_polygons: list[np.ndarray] = field(default_factory=list)
    scores: list[float] | None = None
    has_result: bool = False


@dataclass
class LoadedSet:
    """All images of a benchmark.

    Attributes:
        images: in natural order of their names.
        file_format: the name of the format that was read.
        order: "xy" or "yx", which coordinate came first in result files.
        notes: what was put right, cut off, left out or looks odd -> how often.
    """

    images: list[ImageTexts]
    file_format: str
    order: str
    notes: Counter[str]


def load_set(
    gt: str | Path,
    dt: str | Path,
    protocol: str,
    file_format: str | None = None,
    order: str | None = None,
) -> LoadedSet:
    """Read ground truth and results.

    Args:
        gt: folder or zip archive of ground truth files.
        dt: folder or zip archive of result files.
        protocol: a name of :data:`~.rules.RULES`.
        file_format: a name of :data:`~.benchmarks.FORMATS`; the protocol's if not given.
        order: "xy" or "yx", which coordinate comes first in result files; the format's if not
            given.

    Raises:
        FileError: something cannot be read, or a result file has no ground truth.
    """
    rules = RULES[protocol]
    notes: Counter[str] = Counter()
    with unpacked(gt) as gt_folder, unpacked(dt) as dt_folder:
        gt_files = list_files(gt_folder)
        layout = FORMATS[file_format or rules.file_format or _tell_format(gt_files, gt)]
        images = _read_ground_truth(gt_files, layout, gt, notes)
        detections = _read_results(list_files(dt_folder), layout, images, dt, notes)
    whole = layout.name in WHOLE_FORMATS
    chosen = _choose_order(images, detections, layout, rules, order, notes)
    for name, image in images.items():
        if rules.whole_gt if rules.whole_gt is not None else whole:
            image.gt_polygons = _whole(image.gt_polygons, "ground truths", notes)
        if name in detections:
            found = _sorted(detections[name]) if rules.sort_by_score else detections[name]
            points = [d.points if chosen == "xy" else d.points[:, ::-1] for d in found]
            if rules.whole_dt if rules.whole_dt is not None else whole:
                points = _whole(points, "detections", notes)
            if layout.name in _CLOCKWISE:
                _note_direction(points, notes)
            image.det_polygons, image.has_result = points, True
            scores = [d.score for d in found if d.score is not None]
            image.scores = scores if len(scores) == len(found) else None
    return LoadedSet(
        sorted(images.values(), key=lambda image: natural_key(image.name)),
        layout.name,
        chosen,
        notes,
    )


def _tell_format(files: Sequence[Path], source: str | Path) -> str:
    for name in ("td500", "totaltext", "ctw1500", "icdar2015"):
        if any(FORMATS[name].gt.fullmatch(path.name) for path in files):
            return name
    examples = ", ".join(sorted({f.gt_example for f in FORMATS.values()}))
    raise FileError(
        f"{source}: no file is named like ground truth ({examples}). Name the files so, or check "
        "the path."
    )


def _read_ground_truth(
    files: Sequence[Path], layout: FileFormat, source: str | Path, notes: Counter[str]
) -> dict[str, ImageTexts]:
    chosen: dict[str, Path] = {}
    for path in files:
        name = layout.image(path.name, layout.gt)
        if name is None:
            notes["files beside the ground truth that were not read"] += 1
            continue
        if name in chosen:
            notes["images with ground truth in several files, of which one was read"] += 1
            path = min(chosen[name], path, key=lambda p: (_PREFERRED.index(p.suffix), p.name))
        chosen[name] = path
    if not chosen:
        raise FileError(
            f"{source}: no ground truth file; {layout.name} names them like {layout.gt_example}. "
            "Check the path, the names and --format."
        )
    report = ReadReport(str(source))
    images = {}
    for name, path in chosen.items():
        try:
            texts = layout.read_gt(path, report)
        except GroundTruthError as error:
            raise FileError(str(error).replace(str(path), f"{source}, {path.name}")) from error
        images[name] = ImageTexts(
            name,
            [np.asarray(text.points, dtype=np.float64).reshape(-1, 2) for text in texts],
            [layout.is_ignored(text) for text in texts],
            [text.text for text in texts],
        )
    for counter in (report.repaired, report.dropped, report.notes):
        notes.update({f"ground truth: {fault}": number for fault, number in counter.items()})
    return images


def _read_results(
    files: Sequence[Path],
    layout: FileFormat,
    images: dict[str, ImageTexts],
    source: str | Path,
    notes: Counter[str],
) -> dict[str, list[Detection]]:
    detections: dict[str, list[Detection]] = {}
    for path in files:
        name = layout.image(path.name, layout.dt)
        if name is None and path.suffix.lower() != ".txt":
            notes["files beside the results that were not read"] += 1
            continue
        if name is None:
            raise FileError(
                f"{source}, {path.name}: no name of a result file; {layout.name} has names like "
                f"{layout.dt_example}. Rename or remove it."
            )
        if name not in images:
            raise FileError(
                f"{source}, {path.name}: there is no ground truth for it. Remove it, or check "
                "that both paths are of the same images."
            )
        if name in detections:
            raise FileError(f"{source}, {path.name}: a second result file for one image.")
        try:
            detections[name] = read_results(path, layout.parse_dt, notes)
        except FileError as error:
            raise FileError(f"{source}, {error}") from error
    if not detections:
        raise FileError(
            f"{source}: no result file; {layout.name} names them like {layout.dt_example}. Check "
            "the path, the names and --format."
        )
    scored = {
        any(d.score is not None for d in found) for found in detections.values() if len(found)
    }
    if len(scored) > 1:
        notes["some result files have confidences, others none: none is used"] += 1
        for found in detections.values():
            for detection in found:
                detection.score = None
    return detections


def _choose_order(
    images: dict[str, ImageTexts],
    detections: dict[str, list[Detection]],
    layout: FileFormat,
    rules: FileRules,
    order: str | None,
    notes: Counter[str],
) -> str:
    """Which coordinate comes first; a note where the other choice fits much better."""
    if order is not None:
        return order
    covered = {"xy": 0.0, "yx": 0.0}
    for name, found in detections.items():
        gts = _boxes(images[name].gt_polygons)
        boxes = _boxes([d.points for d in found])
        covered["xy"] += _covered(boxes, gts)
        covered["yx"] += _covered(boxes[:, [1, 0, 3, 2]], gts)
    other = "yx" if layout.order == "xy" else "xy"
    if covered[other] <= _CLEARLY * covered[layout.order]:
        return layout.order
    if layout.name in rules.either_order:
        notes[f"result files read with {other[0]} first, as they fit the ground truth so"] += 1
        return other
    notes[f"result files would fit the ground truth better with --order {other}"] += 1
    return layout.order


def _boxes(polygons: Sequence[np.ndarray]) -> np.ndarray:
    """(N, 4) x0, y0, x1, y1."""
    boxes = [[*p.min(axis=0), *p.max(axis=0)] for p in polygons if len(p)]
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)


def _covered(dets: np.ndarray, gts: np.ndarray) -> float:
    low = np.maximum(dets[:, None, :2], gts[None, :, :2])
    high = np.minimum(dets[:, None, 2:], gts[None, :, 2:])
    return float(np.maximum(high - low, 0).prod(axis=2).sum())


def _whole(polygons: Sequence[np.ndarray], what: str, notes: Counter[str]) -> list[np.ndarray]:
    whole = [np.trunc(points) for points in polygons]
    cut = sum(not np.array_equal(a, b) for a, b in zip(whole, polygons))
    if cut:
        notes[f"{what} with fractions of pixels, which the protocol cuts off"] += cut
    return whole


def _note_direction(polygons: Sequence[np.ndarray], notes: Counter[str]) -> None:
    """Count rings that run counter-clockwise on the image, where y points down."""
    for points in polygons:
        if not is_clockwise(points):
            notes["detections not clockwise, which the competition's server refuses"] += 1


def _sorted(detections: list[Detection]) -> list[Detection]:
    """By falling confidence; in the order of the file where there is none, or it is the same."""
    if any(d.score is None for d in detections):
        return detections
    return sorted(detections, key=lambda d: -d.score)
