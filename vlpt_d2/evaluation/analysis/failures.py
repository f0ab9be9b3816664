"""Why texts were missed and what false alarms are.

The classes describe only geometry, so they mean the same for every protocol. A text is
missed, and a detection is a false alarm, where the protocol counts it and has no match for it. Of
the classes that fit, the first is taken.

=========== ======================================== =========================================
class       of a missed text                         of a false alarm
=========== ======================================== =========================================
duplicate   -                                        fits a text (IoU > 0.5) that has another
                                                     detection
dont_care   a detection that fits it (IoU > 0.5) was what it lies on most is a don't-care region
            ignored for a don't-care region
split       two or more detections lie on it for     lies for half or more on a text that two or
            half or more, and cover half or more     more such detections cover for half or more
            of it together
merged      a detection covers half or more of it    covers half or more of two or more texts
            and of another text
below_iou   else, a detection has an IoU > 0.1 with  else, it has an IoU > 0.1 with a text
            it
too_small   else, it is lower than 10 pixels         else, it is lower than 10 pixels
background  else: it was taken for background        else: background was taken for text
=========== ======================================== =========================================
"""

from __future__ import annotations

import numpy as np

from ...structures.text_shape import sides
from ..files import ImageTexts
from ..protocols import ImageResult
from ..protocols.overlaps import Overlaps, exact_overlaps

__all__ = ["CLASSES", "explain"]

CLASSES = ("duplicate", "dont_care", "split", "merged", "below_iou", "too_small", "background")
# Shares and IoUs above; they only name things and are part of no score.
HALF = 0.5
FITS = 0.5
NEAR = 0.1
SMALL = 10.0


def explain(
    image: ImageTexts, result: ImageResult
) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Class the failures of one image.

    Args:
        image: its texts and detections.
        result: how a protocol matched them.

    Returns:
        (ground truth, class) of each missed text, and (detection, class) of each false alarm.
    """
    found = {gt for gt, _, _ in result.matches}
    used = {det for _, det, _ in result.matches}
    ignored_gt, ignored_det = set(result.ignored_gt), set(result.ignored_det)
    missed = [g for g in range(len(image.gt_polygons)) if g not in found | ignored_gt]
    alarms = [d for d in range(len(image.det_polygons)) if d not in used | ignored_det]
    if not missed and not alarms:
        return [], []
    areas = exact_overlaps(image.gt_polygons, image.det_polygons)
    return (
        [(g, _why_missed(g, areas, image, ignored_det)) for g in missed],
        [(d, _why_alarm(d, areas, image, found, ignored_gt)) for d in alarms],
    )


def _why_missed(gt: int, areas: Overlaps, image: ImageTexts, ignored_det: set[int]) -> str:
    sigma, tau, overlap = areas.sigma, areas.tau, areas.iou[gt]
    if any(overlap[d] > FITS for d in ignored_det):
        return "dont_care"
    if _is_split(gt, sigma, tau):
        return "split"
    covering = np.flatnonzero(sigma[gt] >= HALF)
    if any(np.count_nonzero(sigma[:, d] >= HALF) >= 2 for d in covering):
        return "merged"
    if len(overlap) and overlap.max() > NEAR:
        return "below_iou"
    return "too_small" if sides(image.gt_polygons[gt])[1] < SMALL else "background"


def _why_alarm(
    det: int, areas: Overlaps, image: ImageTexts, found: set[int], ignored_gt: set[int]
) -> str:
    sigma, tau, overlap = areas.sigma, areas.tau, areas.iou[:, det]
    if any(overlap[g] > FITS for g in found):
        return "duplicate"
    shared = areas.shared[:, det]
    if len(shared) and shared.max() > 0 and int(np.argmax(shared)) in ignored_gt:
        return "dont_care"
    if any(_is_split(g, sigma, tau) for g in np.flatnonzero(tau[:, det] >= HALF).tolist()):
        return "split"
    if np.count_nonzero(sigma[:, det] >= HALF) >= 2:
        return "merged"
    if len(overlap) and overlap.max() > NEAR:
        return "below_iou"
    return "too_small" if sides(image.det_polygons[det])[1] < SMALL else "background"


def _is_split(gt: int, sigma: np.ndarray, tau: np.ndarray) -> bool:
    parts = tau[gt] >= HALF
    return bool(np.count_nonzero(parts) >= 2 and sigma[gt, parts].sum() >= HALF)
