"""Total-Text's DetEval: ground truths and detections one to one, split and merged.

With sigma the share of a ground truth that a detection covers and tau the share of the detection
that lies on it, thresholds tr and tp, k = 2 and a weight of 0.8 for splits and merges:

0. A detection is dropped if more than half of it lies on any one don't-care region; the regions
   then are, too.
1. One to one: a ground truth for which exactly one detection has sigma **>** tr, and exactly one
   has tau **>** tp, earns 1 for recall and 1 for precision. That detection (with sigma > tr) is
   used, but other ground truths may still match it in this step.
2. Split: for each ground truth left, touched by at least 2 detections (of all), take the unused
   detections with tau >= tp. A single one with sigma >= tr is a one-to-one match. Of several, the
   sigmas have to sum to at least tr; that earns 0.8 for recall and 0.8 per detection for precision.
3. Merge: for each unused detection that touches at least 2 ground truths (of all), take the ground
   truths left with sigma >= **tp**. A single one with sigma >= tr and tau >= tp is a one-to-one
   match. Of several, the taus have to sum to at least tp; that earns 0.8 per ground truth for
   recall, and 0.8 for precision.

Recall and precision are the sums of what was earned over all ground truths and all detections that
were not dropped, of the images that have a result file.

The scripts differ in how they measure, and in step 1:

======================== ==================================================================
totaltext-deteval        whai362/PSENet, eval/tt/Deteval.py: exact areas; tr 0.7, tp 0.6
-old                     the same with the first thresholds of the dataset's README, 0.8 and 0.4
-official                cs-chan/Total-Text-Dataset, Evaluation_Protocol/Python_scripts/Deteval.py
                         with polygon_wrapper.py: areas on the pixel raster, sigma and tau rounded
                         to two decimals, and in step 0 a pixel added to the detection's area
-official-old            the same with 0.8 and 0.4
-latest                  the last version of that script, with polygon_fast.py: exact areas, else
                         as official; in step 1 the ground truth also has to be the only one with
                         sigma > tr, and the only one with tau > tp, of these detections
======================== ==================================================================

:mod:`vlpt_d2.data.datasets.total_text` defines the files: their names, and how lines are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .overlaps import (
    MeasureOverlaps,
    Overlaps,
    buffered_overlaps,
    exact_overlaps,
    raster_overlaps,
    ratio,
)
from .protocol import Protocol, register_protocol
from .result import CREDITS, ImageResult, Ledger, check_flags

__all__ = ["DetEval"]

MANY = 2  # k: so many make a split or a merge
WEIGHT = 0.8  # fsc_k: what each part of one earns
OVERLAP_THRESHOLD = 0.5


@dataclass(frozen=True)
class DetEval:
    """One of the scripts.

    Attributes:
        tr: threshold of sigma.
        tp: threshold of tau.
        measure: how areas are measured.
        rounded: whether sigma and tau are rounded to two decimals.
        extra_area: square pixels added to a detection's area in step 0.
        both_sides: whether step 1 looks at the detections' ground truths, too.
    """

    tr: float = 0.7
    tp: float = 0.6
    measure: MeasureOverlaps = exact_overlaps
    rounded: bool = False
    extra_area: float = 0.0
    both_sides: bool = False

    @property
    def parameters(self) -> dict[str, float | bool]:
        """The numbers of the rules, for result files."""
        return {
            "tr": self.tr,
            "tp": self.tp,
            "k": MANY,
            "split_merge_weight": WEIGHT,
            "overlap_threshold": OVERLAP_THRESHOLD,
            "rounded": self.rounded,
        }

    def match_image(
        self,
        gt_polygons: Iterable[np.ndarray],
        gt_ignore: Sequence[bool],
        det_polygons: Iterable[np.ndarray],
    ) -> ImageResult:
        """Match one image; see :data:`~.protocol.MatchImage`.

        ``num_matches`` counts the ground truths that earned something.
        """
        areas = self.measure(gt_polygons, det_polygons)
        ignore = check_flags(gt_ignore, len(areas.gt))
        dropped = drop_on_ignored(areas, ignore, self.extra_area)
        gt_ids, det_ids = np.flatnonzero(~ignore), np.flatnonzero(~dropped)
        kept = np.ix_(gt_ids, det_ids)
        sigma, tau = areas.sigma[kept], areas.tau[kept]
        if self.rounded:
            sigma, tau = np.round(sigma, 2), np.round(tau, 2)
        ledger = Ledger(np.ones(len(gt_ids), dtype=bool), np.ones(len(det_ids), dtype=bool))
        self._one_to_one(sigma, tau, ledger)
        self._splits(sigma, tau, ledger)
        self._merges(sigma, tau, ledger)
        overlap = areas.iou[kept]
        return ImageResult(
            num_gt=len(gt_ids),
            num_det=len(det_ids),
            matches=[
                (int(gt_ids[g]), int(det_ids[d]), float(overlap[g, d])) for g, d in ledger.pairs
            ],
            ignored_gt=np.flatnonzero(ignore).tolist(),
            ignored_det=np.flatnonzero(dropped).tolist(),
            repaired_gt=areas.repaired_gt,
            repaired_det=areas.repaired_det,
            num_matches=len({g for g, _ in ledger.pairs}),
            recall_credit=ledger.recall,
            precision_credit=ledger.precision,
        )

    def _one_to_one(self, sigma: np.ndarray, tau: np.ndarray, ledger: Ledger) -> None:
        covers, lies_on = sigma > self.tr, tau > self.tp
        single = (covers.sum(axis=1) == 1) & (lies_on.sum(axis=1) == 1)
        for g in np.flatnonzero(single).tolist():
            d = int(np.argmax(covers[g]))
            if self.both_sides and (
                np.count_nonzero(covers[:, d]) != 1
                or np.count_nonzero(lies_on[:, np.argmax(lies_on[g])]) != 1
            ):
                continue
            ledger.enter([g], [d], 1.0, 1.0)

    def _splits(self, sigma: np.ndarray, tau: np.ndarray, ledger: Ledger) -> None:
        for g in np.flatnonzero(np.count_nonzero(sigma > 0, axis=1) >= MANY).tolist():
            if not ledger.gt_free[g]:
                continue
            parts = np.flatnonzero((tau[g] >= self.tp) & ledger.det_free)
            if len(parts) == 1:
                if sigma[g, parts[0]] >= self.tr:
                    ledger.enter([g], parts, 1.0, 1.0)
            elif np.sum(sigma[g, parts]) >= self.tr:
                ledger.enter([g], parts, WEIGHT, len(parts) * WEIGHT)

    def _merges(self, sigma: np.ndarray, tau: np.ndarray, ledger: Ledger) -> None:
        for d in np.flatnonzero(np.count_nonzero(tau > 0, axis=0) >= MANY).tolist():
            if not ledger.det_free[d]:
                continue
            parts = np.flatnonzero((sigma[:, d] >= self.tp) & ledger.gt_free)
            if len(parts) == 1:
                if tau[parts[0], d] >= self.tp and sigma[parts[0], d] >= self.tr:
                    ledger.enter(parts, [d], 1.0, 1.0)
            elif np.sum(tau[parts, d]) >= self.tp:
                ledger.enter(parts, [d], len(parts) * WEIGHT, WEIGHT)


def drop_on_ignored(areas: Overlaps, ignore: np.ndarray, extra_area: float) -> np.ndarray:
    """Say which detections lie on a don't-care region.

    Args:
        areas: of the image.
        ignore: (N,) bool, which ground truths are such regions.
        extra_area: added to the area of each detection.

    Returns:
        (M,) bool.
    """
    return (ratio(areas.shared, areas.det + extra_area)[ignore] > OVERLAP_THRESHOLD).any(axis=0)


_OFFICIAL = DetEval(measure=raster_overlaps, rounded=True, extra_area=1.0)
for _name, _title, _rules in (
    ("", "0.7/0.6, exact areas (PSENet)", DetEval()),
    ("-old", "0.8/0.4, exact areas", DetEval(tr=0.8, tp=0.4)),
    ("-official", "0.7/0.6, pixel areas, rounded", _OFFICIAL),
    ("-official-old", "0.8/0.4, pixel areas, rounded", replace(_OFFICIAL, tr=0.8, tp=0.4)),
    (
        "-latest",
        "0.7/0.6 as last published: exact areas, rounded",
        replace(_OFFICIAL, measure=buffered_overlaps, both_sides=True),
    ),
):
    register_protocol(
        Protocol(
            f"totaltext-deteval{_name}",
            f"Total-Text DetEval {_title}",
            _rules.parameters,
            _rules.match_image,
            counts=CREDITS,
            only_with_result=True,
            file_format="totaltext",
            whole_gt=True,
            whole_dt=True,
        )
    )
