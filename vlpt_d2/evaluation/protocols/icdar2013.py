"""ICDAR2013 Challenge 2, Task 1: upright rectangles, matched one to one, split and merged.

The rules are those of the Robust Reading Competition's Python scripts after Wolf and Jolion (IJDAR
2006); public copies: PaddleOCR, benchmark/PaddleOCR_DBNet/utils/ocr_metric/icdar2015/detection/
{deteval,icdar2013}.py, which measure polygons where the scripts have rectangles.

Rectangles hold their last row and column: widths and heights are one more than the differences of
the corners, also in intersections. With recall the share of a ground truth that a detection covers
and precision the share of the detection that lies on it:

0. A detection is ignored if its precision in any one don't-care region is more than 0.4.
1. One to one: recall >= 0.8 and precision >= 0.4, which holds for no other detection with that
   ground truth and no other ground truth with that detection (don't-care ones too), and the centres
   are nearer than half the sum of the diagonals. Earns 1 and 1.
2. Split: unused detections of precision >= 0.4 on a ground truth that is left, if their recalls sum
   to at least 0.8 (rounded to four decimals). Earns 0.8 for recall and 0.8 per detection for
   precision; 1 and 1 if it is a single one.
3. Merge: ground truths left whose recall by an unused detection is >= 0.8, if the precisions sum to
   at least 0.4 (rounded in the same way). Earns 1 per ground truth for recall and 1 for precision.

The site scores submissions twice, and so can we:

- ``icdar2013``: DetEval. A one-to-one pair must touch nothing else that counts, a split needs a
  ground truth touched by two or more detections that count, a merge a detection that touches two or
  more ground truths that count.
- ``icdar2013-competition``: the competition's own scores, without these three conditions.

:mod:`vlpt_d2.data.datasets.icdar2013` defines the files: their names, and how lines are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from .overlaps import ratio
from .protocol import Protocol, register_protocol
from .result import CREDITS, ImageResult, Ledger, check_flags

RECALL_THRESHOLD = 0.8
PRECISION_THRESHOLD = 0.4
CENTRE_THRESHOLD = 1.0
SPLIT_WEIGHT = 0.8
MERGE_WEIGHT = 1.0
MANY = 2
PARAMETERS = {
    "recall_threshold": RECALL_THRESHOLD,
    "precision_threshold": PRECISION_THRESHOLD,
    "centre_threshold": CENTRE_THRESHOLD,
    "split_weight": SPLIT_WEIGHT,
    "merge_weight": MERGE_WEIGHT,
}


@dataclass
class _Image:
    """Rectangles (x0, y0, x1, y1), shares, and what is matched of one image."""

    gts: np.ndarray
    dets: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    gt_touched: np.ndarray
    det_touching: np.ndarray
    ledger: Ledger


def match_image(
    gt_polygons: Iterable[np.ndarray],
    gt_ignore: Sequence[bool],
    det_polygons: Iterable[np.ndarray],
    strict: bool,
) -> ImageResult:
    """Match one image as ``icdar2013`` or, not ``strict``, as ``icdar2013-competition``.

    With ``strict`` bound, a :data:`~.protocol.MatchImage`. Polygons stand for the upright
    rectangles around them. ``num_matches`` counts the ground truths that earned something.
    """
    gts, dets = _rectangles(gt_polygons), _rectangles(det_polygons)
    ignore = check_flags(gt_ignore, len(gts))
    gt_areas, det_areas, shared = _areas(gts), _areas(dets), _shared(gts, dets)
    recall, precision = ratio(shared, gt_areas[:, None]), ratio(shared, det_areas[None, :])
    ignored_det = (precision[ignore] > PRECISION_THRESHOLD).any(axis=0)
    touch = recall > 0
    image = _Image(
        gts,
        dets,
        recall,
        precision,
        gt_touched=np.count_nonzero(touch[:, ~ignored_det], axis=1),
        det_touching=np.count_nonzero(touch[~ignore], axis=0),
        ledger=Ledger(~ignore, ~ignored_det),
    )
    _one_to_one(image, strict)
    _splits(image, ~ignore, strict)
    _merges(image, ~ignored_det, strict)
    union = gt_areas[:, None] + det_areas[None, :] - shared
    return ImageResult(
        num_gt=int(np.count_nonzero(~ignore)),
        num_det=int(np.count_nonzero(~ignored_det)),
        matches=[(g, d, float(shared[g, d] / union[g, d])) for g, d in image.ledger.pairs],
        ignored_gt=np.flatnonzero(ignore).tolist(),
        ignored_det=np.flatnonzero(ignored_det).tolist(),
        num_matches=len({g for g, _ in image.ledger.pairs}),
        recall_credit=image.ledger.recall,
        precision_credit=image.ledger.precision,
    )


def _one_to_one(image: _Image, strict: bool) -> None:
    good = (image.recall >= RECALL_THRESHOLD) & (image.precision >= PRECISION_THRESHOLD)
    single = good & (good.sum(axis=1) == 1)[:, None] & (good.sum(axis=0) == 1)[None, :]
    for g, d in zip(*(indices.tolist() for indices in np.nonzero(single))):
        if not (image.ledger.gt_free[g] and image.ledger.det_free[d]):
            continue
        if strict and (image.gt_touched[g] != 1 or image.det_touching[d] != 1):
            continue
        if _centre_distance(image.gts[g], image.dets[d]) < CENTRE_THRESHOLD:
            image.ledger.enter([g], [d], 1.0, 1.0)


def _splits(image: _Image, care: np.ndarray, strict: bool) -> None:
    for g in np.flatnonzero(care & image.ledger.gt_free).tolist():
        parts = np.flatnonzero(image.ledger.det_free & (image.precision[g] >= PRECISION_THRESHOLD))
        if round(sum(image.recall[g, parts].tolist()), 4) < RECALL_THRESHOLD:
            continue
        if strict and image.gt_touched[g] < MANY:
            continue
        if len(parts) == 1:
            image.ledger.enter([g], parts, 1.0, 1.0)
        else:
            image.ledger.enter([g], parts, SPLIT_WEIGHT, SPLIT_WEIGHT * len(parts))


def _merges(image: _Image, care: np.ndarray, strict: bool) -> None:
    for d in np.flatnonzero(care & image.ledger.det_free).tolist():
        parts = np.flatnonzero(image.ledger.gt_free & (image.recall[:, d] >= RECALL_THRESHOLD))
        if round(sum(image.precision[parts, d].tolist()), 4) < PRECISION_THRESHOLD:
            continue
        if strict and image.det_touching[d] < MANY:
            continue
        image.ledger.enter(parts, [d], MERGE_WEIGHT * len(parts), MERGE_WEIGHT)


def _rectangles(polygons: Iterable[np.ndarray]) -> np.ndarray:
    """(N, 4) upright rectangles; not a number where a polygon has no points or is not finite."""
    rectangles = []
    for points in polygons:
        points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        if not len(points) or not np.isfinite(points).all():
            points = np.full((1, 2), np.nan)
        rectangles.append([*points.min(axis=0), *points.max(axis=0)])
    return np.array(rectangles, dtype=np.float64).reshape(-1, 4)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.nan_to_num((boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1))


def _shared(gts: np.ndarray, dets: np.ndarray) -> np.ndarray:
    low = np.maximum(gts[:, None, :2], dets[None, :, :2])
    high = np.minimum(gts[:, None, 2:], dets[None, :, 2:])
    # Comparisons with "not a number" are false, so such rectangles share nothing.
    sides = np.where(high - low + 1 >= 0, high - low + 1, 0.0)
    return sides[..., 0] * sides[..., 1]


def _centre_distance(gt: np.ndarray, det: np.ndarray) -> float:
    """Distance of the centres over the mean of the two diagonals."""
    sizes = [box[2:] - box[:2] + 1 for box in (gt, det)]
    centres = [box[:2] + size / 2 for box, size in zip((gt, det), sizes)]
    diagonals = sum(float(np.hypot(*size)) for size in sizes)
    return 2 * float(np.hypot(*(centres[0] - centres[1]))) / diagonals


for _name, _title, _strict in (
    ("icdar2013", "ICDAR2013 Challenge 2, DetEval", True),
    ("icdar2013-competition", "ICDAR2013 Challenge 2, the competition's own scores", False),
):
    register_protocol(
        Protocol(
            _name,
            _title,
            {**PARAMETERS, "single_overlap": _strict},
            partial(match_image, strict=_strict),
            counts=CREDITS,
            file_format="icdar2013",
            whole_gt=True,
            whole_dt=True,
        )
    )
