"""The report of an evaluation in addition to its score, as JSON data and as text."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..file_evaluation import Evaluation, evaluate_images
from ..files import ImageTexts
from .failures import CLASSES, explain
from .recall import recall_by

__all__ = ["CURVE_NOTE", "analyse", "summarise"]

#: Is printed with every threshold curve.
CURVE_NOTE = (
    "analysis, not a score: a threshold chosen on the images that are measured makes a number that "
    "cannot be compared"
)
_STEP = 0.05


def analyse(evaluation: Evaluation) -> dict[str, Any]:
    """Class all failures, slice recall, and sweep the confidence where there is one.

    Returns:
        ``missed`` and ``false_alarms``: class -> number (see :mod:`~.failures`); ``recall_by``:
        see :mod:`~.recall`; ``threshold_curve``: precision, recall and hmean of the detections
        that reach each confidence, or None; ``images``: per image the classes of what failed.
    """
    rows: list[dict[str, Any]] = []
    missed: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    for image, result in zip(evaluation.images, evaluation.results, strict=True):
        why_missed, why_alarms = explain(image, result)
        missed.update(kind for _, kind in why_missed)
        alarms.update(kind for _, kind in why_alarms)
        rows.append(
            {
                "image": image.name,
                "missed": [list(pair) for pair in why_missed],
                "false_alarms": [list(pair) for pair in why_alarms],
            }
        )
    return {
        "missed": {kind: missed[kind] for kind in CLASSES if missed[kind]},
        "false_alarms": {kind: alarms[kind] for kind in CLASSES if alarms[kind]},
        "recall_by": recall_by(evaluation.images, evaluation.results),
        "threshold_curve": threshold_curve(evaluation),
        "threshold_curve_note": CURVE_NOTE,
        "images": rows,
    }


def threshold_curve(evaluation: Evaluation) -> list[dict[str, float]] | None:
    """Measure the detections that reach 0, 0.05, ... 0.95; None without confidences."""
    images = evaluation.images
    if any(image.scores is None and len(image.det_polygons) for image in images):
        return None
    if not any(image.scores for image in images):
        return None
    curve = []
    for step in range(round(1 / _STEP)):
        threshold = round(step * _STEP, 2)
        kept = [_reaching(image, threshold) for image in images]
        totals = evaluate_images(kept, evaluation.protocol.name).totals
        curve.append(
            {
                "confidence": threshold,
                "precision": totals.precision,
                "recall": totals.recall,
                "hmean": totals.hmean,
            }
        )
    return curve


def summarise(analysis: dict[str, Any]) -> str:
    """A few lines for the terminal."""
    lines = []
    for title, key in (("missed texts", "missed"), ("false alarms", "false_alarms")):
        parts = ", ".join(f"{kind} {number}" for kind, number in analysis[key].items())
        lines.append(f"{title}: {parts or 'none'}")
    for name, bins in analysis["recall_by"].items():
        parts = ", ".join(f"{b['bin']}: {b['found']}/{b['texts']}" for b in bins)
        lines.append(f"found by {name}: {parts}")
    if analysis["threshold_curve"]:
        lines.append(f"by confidence ({analysis['threshold_curve_note']}):")
        lines += [
            f"  >= {p['confidence']:.2f}  precision {p['precision']:.4f}  recall {p['recall']:.4f}"
            f"  hmean {p['hmean']:.4f}"
            for p in analysis["threshold_curve"]
        ]
    return "\n".join(lines)


def _reaching(image: ImageTexts, threshold: float) -> ImageTexts:
    scores = image.scores or []
    kept = [i for i, score in enumerate(scores) if score >= threshold]
    return ImageTexts(
        image.name,
        image.gt_polygons,
        image.gt_ignore,
        image.gt_texts,
        [image.det_polygons[i] for i in kept],
        [scores[i] for i in kept],
        image.has_result,
    )
