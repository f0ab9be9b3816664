"""Areas and intersections of one image, in the three ways Total-Text's scripts measure them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from .raster import fill, shared_pixels

__all__ = ["Overlaps", "buffered_overlaps", "exact_overlaps", "raster_overlaps", "ratio"]

# Pixels; no image reaches further.
_FARTHEST = 20_000


@dataclass
class Overlaps:
    """Areas in square pixels.

    Attributes:
        gt, det: (N,) and (M,) areas of the ground truths and of the detections.
        shared, union: (N, M) areas of their intersections and unions.
        repaired_gt, repaired_det: fault -> ground truths, detections that had it.
    """

    gt: np.ndarray
    det: np.ndarray
    shared: np.ndarray
    union: np.ndarray
    repaired_gt: Counter[str] = field(default_factory=Counter)
    repaired_det: Counter[str] = field(default_factory=Counter)

    @property
    def iou(self) -> np.ndarray:
        """(N, M) intersection over union, in [0, 1]."""
        return ratio(self.shared, self.union)

    @property
    def sigma(self) -> np.ndarray:
        """(N, M) share of each ground truth that a detection covers."""
        return ratio(self.shared, self.gt[:, None])

    @property
    def tau(self) -> np.ndarray:
        """(N, M) share of each detection that covers a ground truth."""
        return ratio(self.shared, self.det[None, :])


#: From the points of ground truths and detections to their areas.
MeasureOverlaps = Callable[[Iterable[np.ndarray], Iterable[np.ndarray]], Overlaps]


def exact_overlaps(
    gt_polygons: Iterable[np.ndarray], det_polygons: Iterable[np.ndarray]
) -> Overlaps:
    """Exact areas of polygons; faulty ones are repaired as in every protocol of ours."""
    import shapely

    from .shapes import to_shapes

    repaired_gt: Counter[str] = Counter()
    repaired_det: Counter[str] = Counter()
    gts, dets = to_shapes(gt_polygons, repaired_gt), to_shapes(det_polygons, repaired_det)
    gt, det = shapely.area(gts), shapely.area(dets)
    shared = _dense(gts, dets)
    return Overlaps(gt, det, shared, _union(gt, det, shared), repaired_gt, repaired_det)


def buffered_overlaps(
    gt_polygons: Iterable[np.ndarray], det_polygons: Iterable[np.ndarray]
) -> Overlaps:
    """Areas as by polygon_fast.py of the dataset's repository.

    Intersections and unions are those of ``polygon.buffer(0)``, areas those of the polygons as they
    are. The two differ for polygons that cross themselves, which are counted.
    """
    import shapely

    repaired_gt: Counter[str] = Counter()
    repaired_det: Counter[str] = Counter()
    gts, dets = _rings(gt_polygons, repaired_gt), _rings(det_polygons, repaired_det)
    valid_gts, valid_dets = shapely.buffer(gts, 0), shapely.buffer(dets, 0)
    shared = _dense(valid_gts, valid_dets)
    union = _union(shapely.area(valid_gts), shapely.area(valid_dets), shared)
    gt, det = shapely.area(gts), shapely.area(dets)
    return Overlaps(gt, det, shared, union, repaired_gt, repaired_det)


def raster_overlaps(
    gt_polygons: Iterable[np.ndarray], det_polygons: Iterable[np.ndarray]
) -> Overlaps:
    """Numbers of pixels, see :mod:`~.raster`; polygons are taken as they are."""
    repaired_gt: Counter[str] = Counter()
    repaired_det: Counter[str] = Counter()
    gts = [fill(p) for p in _finite(gt_polygons, repaired_gt, _FARTHEST)]
    dets = [fill(p) for p in _finite(det_polygons, repaired_det, _FARTHEST)]
    gt = np.array([mask.area for mask in gts], dtype=np.float64)
    det = np.array([mask.area for mask in dets], dtype=np.float64)
    shared = np.zeros((len(gts), len(dets)))
    for i, first in enumerate(gts):
        for j, second in enumerate(dets):
            shared[i, j] = shared_pixels(first, second)
    return Overlaps(gt, det, shared, _union(gt, det, shared), repaired_gt, repaired_det)


def _dense(gts: np.ndarray, dets: np.ndarray) -> np.ndarray:
    from .shapes import intersections

    shared = np.zeros((len(gts), len(dets)))
    i, j, areas = intersections(gts, dets)
    shared[i, j] = areas
    return shared


def _union(gt: np.ndarray, det: np.ndarray, shared: np.ndarray) -> np.ndarray:
    return gt[:, None] + det[None, :] - shared


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """(N, M) ``part`` over ``whole``, which is broadcast; 0 where that is without area."""
    whole = np.broadcast_to(whole, part.shape)
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _rings(polygons: Iterable[np.ndarray], faults: Counter[str]) -> np.ndarray:
    import shapely

    shapes = [shapely.Polygon(points) for points in _finite(polygons, faults)]
    faults["self-crossing"] += sum(not shape.is_valid for shape in shapes)
    faults += Counter()  # drops a count of zero
    return np.array(shapes, dtype=object)


def _finite(
    polygons: Iterable[np.ndarray], faults: Counter[str], farthest: float = np.inf
) -> list[np.ndarray]:
    """Points that can be measured; an empty array, counted, in place of others."""
    kept = []
    for points in polygons:
        points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        if not np.isfinite(points).all():
            faults["unusable: not finite"] += 1
            points = points[:0]
        elif len(points) < 3:
            faults["unusable: no area"] += 1
            points = points[:0]
        elif np.abs(points).max() > farthest:
            faults["unusable: too far away for a raster"] += 1
            points = points[:0]
        kept.append(points)
    return kept
