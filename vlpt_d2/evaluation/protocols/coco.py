"""COCO's average precision over polygons, measured by pycocotools.

The masks of COCO's ``segm`` evaluation are the filled polygons. Don't-care regions are crowds: a
detection that finds nothing else and lies on one (its own area counts, not the union) is neither
right nor wrong. Detections are ranked by confidence, at most 100 of an image.

Precision, recall and hmean come from the matches of all detections at IoU 0.5.
"""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .protocol import Protocol, register_protocol
from .result import ImageResult, check_flags

if TYPE_CHECKING:
    from pycocotools.cocoeval import COCOeval

__all__ = ["match_images"]

MAX_DETECTIONS = 100
_NAMES = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
# Pixels; pycocotools counts the pixels of a mask in 32 bits.
_FARTHEST = 20_000


def match_images(
    gt_polygons: Sequence[Sequence[np.ndarray]],
    gt_ignore: Sequence[Sequence[bool]],
    det_polygons: Sequence[Sequence[np.ndarray]],
    scores: Sequence[Sequence[float] | None],
) -> tuple[list[ImageResult], dict[str, Any]]:
    """Measure a set of images.

    Args:
        gt_polygons: per image and text (N_i, 2) points in pixels.
        gt_ignore: per image and text, whether it is a don't-care region.
        det_polygons: per image and detection (M_i, 2) points in pixels.
        scores: per image and detection the confidence; None where an image has none.

    Returns:
        Per image the matches at IoU 0.5; and the averages, in [0, 1], None where no ground truth
        counts.

    Raises:
        ValueError: an image with detections has no confidences.
    """
    annotations: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    results, sizes = [], []
    for image, (gts, marks, dets) in enumerate(
        zip(gt_polygons, gt_ignore, det_polygons, strict=True), 1
    ):
        ignore = check_flags(marks, len(gts))
        given = scores[image - 1]
        values = () if given is None else given
        if len(dets) and len(values) != len(dets):
            raise ValueError(
                "the coco protocol ranks detections by confidence, but the result files have none. "
                "Add one as the last field of every line."
            )
        result = ImageResult(
            int((~ignore).sum()), len(dets), [], np.flatnonzero(ignore).tolist(), []
        )
        size = _frame([*gts, *dets])
        for index, points in enumerate(gts):
            annotations.append(
                _entry(points, size, image, result.repaired_gt)
                | {"id": len(annotations) + 1, "iscrowd": int(ignore[index]), "text": index}
            )
        for index, points in enumerate(dets):
            detections.append(
                _entry(points, size, image, result.repaired_det)
                | {"score": float(values[index]), "text": index}
            )
        results.append(result)
        sizes.append(size)
    evaluator = _evaluate(sizes, annotations, detections)
    averages: dict[str, float | None] = dict.fromkeys(_NAMES)
    if any(result.num_gt for result in results):
        averages = dict.fromkeys(_NAMES, 0.0)
    if evaluator is not None:
        # pycocotools writes -1 where there is nothing to average.
        averages = {n: float(v) if v >= 0 else None for n, v in zip(_NAMES, evaluator.stats)}
        _fill_in(results, evaluator)
    return results, {"coco": averages}


def _evaluate(
    sizes: list[tuple[int, int]],
    annotations: list[dict[str, Any]],
    detections: list[dict[str, Any]],
) -> COCOeval | None:
    """None where there is nothing to compare."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not annotations or not detections:
        return None
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": i, "height": h, "width": w} for i, (h, w) in enumerate(sizes, 1)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "text"}],
    }
    # pycocotools prints as it goes.
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluator = COCOeval(truth, truth.loadRes(detections), "segm")
        evaluator.params.maxDets = [1, 10, MAX_DETECTIONS]
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


def _fill_in(results: list[ImageResult], evaluator: COCOeval) -> None:
    """Take the matches at the first threshold, 0.5, without limits of size."""
    truth, found = evaluator.cocoGt.anns, evaluator.cocoDt.anns
    for evaluated in evaluator.evalImgs[: len(evaluator.params.imgIds)]:
        if evaluated is None:
            continue
        result = results[evaluated["image_id"] - 1]
        matched = np.asarray(evaluated["dtMatches"][0], dtype=np.int64)
        ignored = np.asarray(evaluated["dtIgnore"][0], dtype=bool)
        overlaps = evaluator.ious[evaluated["image_id"], 1]
        texts = [found[i]["text"] for i in evaluated["dtIds"]]
        rows = {g["id"]: k for k, g in enumerate(evaluator._gts[evaluated["image_id"], 1])}
        result.ignored_det = sorted(t for t, gone in zip(texts, ignored) if gone)
        result.matches = sorted(
            (truth[gt]["text"], texts[k], float(overlaps[k][rows[gt]]))
            for k, gt in enumerate(matched.tolist())
            if gt and not ignored[k]
        )
        result.num_det -= len(result.ignored_det)
        result.num_matches = len(result.matches)
        result.recall_credit = result.precision_credit = float(len(result.matches))


def _frame(polygons: Sequence[np.ndarray]) -> tuple[int, int]:
    """(height, width) that holds all polygons, but for what lies left of the image or above it."""
    corners = [p[np.isfinite(p).all(axis=1)].max(axis=0, initial=0) for p in map(_pairs, polygons)]
    width, height = np.ceil(np.max(corners, axis=0)) if corners else (0, 0)
    return int(min(height + 1, _FARTHEST)), int(min(width + 1, _FARTHEST))


def _entry(
    points: np.ndarray, size: tuple[int, int], image: int, faults: Counter[str]
) -> dict[str, Any]:
    from pycocotools import mask as mask_api

    from ...structures.repair import repair_polygon

    ring, fault = repair_polygon(_pairs(points))
    if fault is not None:
        faults[fault if ring is not None else f"unusable: {fault}"] += 1
    ring = np.zeros((3, 2)) if ring is None else np.clip(ring, 0, _FARTHEST)
    (encoded,) = mask_api.frPyObjects([ring.ravel().tolist()], *size)
    return {
        "image_id": image,
        "category_id": 1,
        "segmentation": encoded,
        "area": float(mask_api.area(encoded)),
        "bbox": mask_api.toBbox(encoded).tolist(),
    }


def _pairs(points: np.ndarray) -> np.ndarray:
    return np.asarray(points, dtype=np.float64).reshape(-1, 2)


register_protocol(
    Protocol(
        "coco",
        "COCO's average precision over polygons (pycocotools)",
        {"iou_thresholds": "0.50:0.95", "max_detections": MAX_DETECTIONS},
        match_set=match_images,
        counts="matched, gt_care and dt_care are those of COCO's matching at IoU 0.5, all "
        "confidences",
        whole_gt=False,
        whole_dt=False,
    )
)
