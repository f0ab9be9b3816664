"""One self-contained HTML page about an evaluation."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2

from ...data.image_io import CorruptImageError, read_image, readable_suffixes
from ...visualization.polygons import draw_polygons
from ..file_evaluation import Evaluation
from ..formats import ImageTexts

__all__ = ["to_page"]

_WORST = 24
_WIDTH = 960  # pixels of a drawn image on the page
_FOUND, _MISSED, _ALARM, _IGNORED = (0, 150, 60), (220, 40, 40), (240, 150, 0), (130, 130, 130)
_STYLE = """body{font:15px/1.45 sans-serif;max-width:1000px;margin:2em auto;padding:0 1em}
table{border-collapse:collapse;margin:.5em 0 1.5em}td,th{padding:.15em .8em;text-align:right}
td:first-child,th:first-child{text-align:left}tr{border-bottom:1px solid #ddd}
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}img{max-width:100%}
.bar{background:#3a7ca5;height:.8em;display:inline-block}small{color:#666}
svg{background:#fafafa}figure{margin:1.5em 0}"""


def to_page(evaluation: Evaluation, report: dict[str, Any], images: str | Path | None) -> str:
    """Write the page.

    Args:
        evaluation: the result.
        report: its JSON data, with ``"analysis"``.
        images: folder of the images; without it none is drawn.

    Raises:
        ValueError: the folder is missing, or holds none of the worst images.
    """
    analysis = report["analysis"]
    parts = [
        f"<h1>{escape(report['protocol'])}: hmean {100 * report['hmean']:.2f}</h1>",
        _score_table(report),
        _failure_table(analysis),
        *(_recall_table(name, bins) for name, bins in analysis["recall_by"].items()),
        _curve(analysis),
        _worst(evaluation, analysis, None if images is None else Path(images)),
    ]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(report['protocol'])}</title><style>{_STYLE}</style></head><body>"
        + "\n".join(parts)
        + "</body></html>"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells of rows are HTML."""
    body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    return "<table><tr>" + "".join(f"<th>{escape(h)}</th>" for h in head) + f"</tr>{body}</table>"


def _score_table(report: dict[str, Any]) -> str:
    rows = [(key, f"{100 * report[key]:.2f} %") for key in ("precision", "recall", "hmean")]
    rows += [
        ("matched", str(report["matched"])),
        ("ground truths that count", str(report["gt_care"])),
        ("detections that count", str(report["dt_care"])),
        ("don't-care ground truths", str(report["gt_ignored"])),
        ("ignored detections", str(report["dt_ignored"])),
        ("images", str(report["num_images"])),
        ("images without a result file", str(len(report["images_without_result"]))),
    ]
    rows += [
        (name, "-" if value is None else f"{100 * value:.2f} %")
        for name, value in report.get("coco", {}).items()
    ]
    rows += [(escape(note), str(number)) for note, number in report["notes"].items()]
    return _table(("", ""), rows) + f"<p><small>{escape(report['counts'])}</small></p>"


def _failure_table(analysis: dict[str, Any]) -> str:
    missed, alarms = analysis["missed"], analysis["false_alarms"]
    kinds = list(dict.fromkeys([*missed, *alarms]))
    rows = [
        (kind.replace("_", " "), str(missed.get(kind, 0)), str(alarms.get(kind, 0)))
        for kind in kinds
    ]
    rows.append(("<b>all</b>", str(sum(missed.values())), str(sum(alarms.values()))))
    return "<h2>Why it failed</h2>" + _table(("", "missed texts", "false alarms"), rows)


def _recall_table(name: str, bins: Sequence[dict[str, Any]]) -> str:
    units = {
        "height": "text height in pixels",
        "aspect": "long side over short side",
        "orientation": "angle to the horizontal in degrees",
        "length": "characters",
    }
    rows = []
    for part in bins:
        share = part["found"] / part["texts"]
        bar = f'<span class="bar" style="width:{200 * share:.0f}px"></span>'
        rows.append((escape(part["bin"]), str(part["texts"]), f"{100 * share:.1f} %", bar))
    title = f"<h2>Texts found by {escape(name)}</h2>"
    return title + _table((units.get(name, name), "texts", "found", ""), rows)


def _curve(analysis: dict[str, Any]) -> str:
    curve = analysis["threshold_curve"]
    if not curve:
        return ""
    width, height = 640, 300
    lines = []
    for key, colour in (("precision", "#3a7ca5"), ("recall", "#c05a2b"), ("hmean", "#222")):
        places = (
            (40 + p["confidence"] * (width - 60), height - 30 - min(p[key], 1) * (height - 50))
            for p in curve
        )
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        place = 20 + 15 * len(lines)
        lines.append(f'<text x="{width - 90}" y="{place}" fill="{colour}">{key}</text>')
    for tick in (0, 0.25, 0.5, 0.75, 1):
        y = height - 30 - tick * (height - 50)
        x = 40 + tick * (width - 60)
        lines.append(f'<text x="4" y="{y + 4:.0f}" font-size="11">{tick:.2f}</text>')
        lines.append(f'<text x="{x - 10:.0f}" y="{height - 8}" font-size="11">{tick:.2f}</text>')
        lines.append(f'<line x1="40" x2="{width - 20}" y1="{y:.0f}" y2="{y:.0f}" stroke="#ddd"/>')
    return (
        "<h2>By confidence</h2>"
        f"<p><small>{escape(analysis['threshold_curve_note'])}</small></p>"
        f'<svg width="{width}" height="{height}">{"".join(lines)}</svg>'
    )


def _worst(evaluation: Evaluation, analysis: dict[str, Any], folder: Path | None) -> str:
    """The images with most failures, drawn where their files are at hand."""
    order = sorted(
        range(len(evaluation.images)),
        key=lambda i: (
            -len(analysis["images"][i]["missed"]) - len(analysis["images"][i]["false_alarms"])
        ),
    )
    rows = [analysis["images"][i] for i in order]
    order = [i for i, row in zip(order, rows) if row["missed"] or row["false_alarms"]][:_WORST]
    if not order:
        return "<h2>Worst images</h2><p>No image has a failure.</p>"
    if folder is not None and not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of images. Check --images.")
    figures, drawn = [], 0
    for i in order:
        image, row = evaluation.images[i], analysis["images"][i]
        path = None if folder is None else _find(folder, image.name)
        picture = "" if path is None else _draw(path, image, evaluation.results[i], row)
        drawn += path is not None
        kinds = ", ".join(
            [f"missed: {kind}" for _, kind in row["missed"]]
            + [f"false alarm: {kind}" for _, kind in row["false_alarms"]]
        )
        figures.append(
            f"<figure>{picture}<figcaption><b>{escape(image.name)}</b>: "
            f"{escape(kinds.replace('_', ' '))}</figcaption></figure>"
        )
    if folder is not None and not drawn:
        raise ValueError(
            f"{folder}: holds no image for {evaluation.images[order[0]].name}, nor for the others. "
            "Check --images."
        )
    legend = (
        "<p><small>green: found; red: missed; orange: false alarm; grey: don't-care region or "
        "ignored detection</small></p>"
    )
    return "<h2>Worst images</h2>" + legend + "".join(figures)


def _find(folder: Path, name: str) -> Path | None:
    """The image of a name as files have it: ``img_7``, ``7``, ``1001``."""
    stems = [name, f"img{name}", f"img_{name}"] + ([f"{int(name):04d}"] if name.isdecimal() else [])
    for stem in stems:
        for suffix in sorted(readable_suffixes()):
            for path in (folder / f"{stem}{suffix}", folder / f"{stem}{suffix.upper()}"):
                if os.path.isfile(path):
                    return path
    return None


def _draw(path: Path, image: ImageTexts, result: Any, row: dict[str, Any]) -> str:
    """The image with all outlines as an ``img`` element, or why it cannot be read."""
    try:
        pixels = read_image(path, path.name)
    except CorruptImageError as error:
        return f"<p>{escape(str(error))}</p>"
    scale = min(1.0, _WIDTH / pixels.shape[1])
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in pixels.shape[1::-1])
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
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
    data = base64.b64encode(encoded.tobytes()).decode("ascii")
    return f'<img alt="{escape(image.name)}" src="data:image/jpeg;base64,{data}">'
