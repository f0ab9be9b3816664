"""One self-contained HTML page about an evaluation."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import cv2

from ...data.image_io import CorruptImageError, read_image, readable_suffixes
from ...visualization.curves import threshold_curve_svg
from ...visualization.page import render_page
from ...visualization.polygons import draw_polygons, scaled
from ..file_evaluation import Evaluation
from ..files import ImageTexts
from ..protocols import ImageResult

__all__ = ["to_page"]

_WORST = 24
_WIDTH = 960  # pixels of a drawn image on the page
_FOUND, _MISSED, _ALARM, _IGNORED = (0, 150, 60), (220, 40, 40), (240, 150, 0), (130, 130, 130)
_UNITS = {
    "height": "text height in pixels",
    "aspect": "long side over short side",
    "orientation": "angle to the horizontal in degrees",
    "length": "characters",
}


def to_page(
    evaluation: Evaluation,
    report: dict[str, Any],
    images: str | Path | None,
    template: str = "evaluation.html",
    **values: Any,
) -> str:
    """Write the page.

    Args:
        evaluation: the result.
        report: its JSON data, with ``"analysis"``.
        images: folder of the images; without it none is drawn.
        template: "evaluation.html", or one that extends it.
        values: what that one names in addition.

    Raises:
        ValueError: the folder is missing, or holds none of the worst images.
    """
    analysis = report["analysis"]
    missed, alarms = analysis["missed"], analysis["false_alarms"]
    curve = analysis["threshold_curve"]
    return render_page(
        template,
        f"{report['protocol']}: hmean {100 * report['hmean']:.2f}",
        report=report,
        analysis=analysis,
        counts=[
            ("matched", report["matched"]),
            ("ground truths that count", report["gt_care"]),
            ("detections that count", report["dt_care"]),
            ("don't-care ground truths", report["gt_ignored"]),
            ("ignored detections", report["dt_ignored"]),
            ("images", report["num_images"]),
            ("images without a result file", len(report["images_without_result"])),
        ],
        failures=[
            (kind, missed.get(kind, 0), alarms.get(kind, 0))
            for kind in dict.fromkeys([*missed, *alarms])
        ],
        units=_UNITS,
        curve=threshold_curve_svg(curve) if curve else "",
        worst=_worst(evaluation, analysis["images"], None if images is None else Path(images)),
        **values,
    )


def _worst(
    evaluation: Evaluation, rows: list[dict[str, Any]], folder: Path | None
) -> list[dict[str, Any]]:
    """The images with most failures, drawn where their files are available."""
    failed = [i for i, row in enumerate(rows) if row["missed"] or row["false_alarms"]]
    failed.sort(key=lambda i: -len(rows[i]["missed"]) - len(rows[i]["false_alarms"]))
    if failed and folder is not None and not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of images. Check --images.")
    files: dict[str, Path] = {}  # by their names without suffix
    if failed and folder is not None:
        suffixes = readable_suffixes()
        images = (p for p in sorted(folder.iterdir(), reverse=True) if p.suffix.lower() in suffixes)
        files = {path.stem: path for path in images if path.is_file()}
    worst, found = [], 0
    for i in failed[:_WORST]:
        image = evaluation.images[i]
        path = _find(files, image.name)
        kinds = {key: [kind for _, kind in rows[i][key]] for key in ("missed", "false_alarms")}
        worst.append({"name": image.name, "jpeg": "", "fault": "", **kinds})
        if path is not None:
            found += 1
            try:
                worst[-1]["jpeg"] = _draw(path, image, evaluation.results[i], rows[i])
            except CorruptImageError as error:
                worst[-1]["fault"] = str(error)
    if worst and folder is not None and not found:
        raise ValueError(
            f"{folder}: holds no image for {worst[0]['name']}, nor for the others. Check --images."
        )
    return worst


def _find(files: dict[str, Path], name: str) -> Path | None:
    """The image of a name as files have it: ``img_7``, ``7``, ``1001``."""
    stems = [name, f"img{name}", f"img_{name}"] + ([f"{int(name):04d}"] if name.isdecimal() else [])
    return next((files[stem] for stem in stems if stem in files), None)


def _draw(path: Path, image: ImageTexts, result: ImageResult, row: dict[str, Any]) -> str:
    """The image with all outlines as a JPEG in base64."""
    pixels = read_image(path, path.name)
    scale = min(1.0, _WIDTH / pixels.shape[1])
    pixels = scaled(pixels, scale)
    missed, alarms = ([index for index, _ in row[key]] for key in ("missed", "false_alarms"))
    groups = (
        (image.gt_polygons, result.ignored_gt, _IGNORED),
        (image.det_polygons, result.ignored_det, _IGNORED),
        (image.det_polygons, sorted({det for _, det, _ in result.matches}), _FOUND),
        (image.det_polygons, alarms, _ALARM),
        (image.gt_polygons, missed, _MISSED),
    )
    for polygons, chosen, colour in groups:
        pixels = draw_polygons(pixels, [polygons[i] * scale for i in chosen], colour, thickness=2)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1]
    return base64.b64encode(encoded.tobytes()).decode("ascii")
