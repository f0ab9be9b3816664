"""The overlapping pairs of ground truths and detections, of many images at once."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from .convex import is_convex, quad_boxes, shared_areas, signed_areas
from .result import ImageResult, check_flags

__all__ = ["Pairs", "measure_pairs", "same_image", "take_in_order"]

# Square pixels; a polygon of less is repaired, or has no area.
_LEAST_AREA = 1e-6
# Every protocol compares IoUs and shares with this number. What lies so near to it that rounding
# might decide is measured by shapely, as single pairs are.
_THRESHOLD, _NEAR = 0.5, 1e-9
# Pairs of boxes that are compared at once: their arrays fit the processor's caches.
_BLOCK = 2**14


@dataclass
class Pairs:
    """Polygons of many images, numbered through, and the pairs that share an area.

    Attributes:
        gt_polygons, det_polygons: (N_i, 2) points of each ground truth and each detection.
        gt_image, det_image: (G,) and (D,) image of each.
        gt_ignore: (G,) bool, the don't-care marks.
        gt, det: (P,) ground truth and detection of each pair; pairs are sorted by them.
        iou: (P,) intersection over union.
        covered: (P,) share of the detection that is on the ground truth.
        repaired_gt, repaired_det: per image fault -> ground truths, detections that had it.
    """

    gt_polygons: Sequence[np.ndarray]
    det_polygons: Sequence[np.ndarray]
    gt_image: np.ndarray
    det_image: np.ndarray
    gt_ignore: np.ndarray
    gt: np.ndarray
    det: np.ndarray
    iou: np.ndarray
    covered: np.ndarray
    repaired_gt: list[Counter[str]]
    repaired_det: list[Counter[str]]

    @functools.cached_property
    def shapes(self) -> tuple[np.ndarray, np.ndarray]:
        """Valid shapely polygons of all ground truths and of all detections."""
        from .shapes import to_shapes

        return to_shapes(self.gt_polygons, Counter()), to_shapes(self.det_polygons, Counter())

    def results(
        self,
        matches: Sequence[tuple[int, int, float]],
        ignored_gt: np.ndarray,
        ignored_det: np.ndarray,
    ) -> list[ImageResult]:
        """The result of each image.

        Args:
            matches: (ground truth, detection, IoU), image by image.
            ignored_gt: (G,) bool.
            ignored_det: (D,) bool.
        """
        edges = np.arange(len(self.repaired_gt) + 1)
        gt_starts = np.searchsorted(self.gt_image, edges).tolist()
        det_starts = np.searchsorted(self.det_image, edges).tolist()
        image_of_match = self.gt_image[np.array([gt for gt, _, _ in matches], dtype=np.int64)]
        match_starts = np.searchsorted(image_of_match, edges).tolist()
        gone_gt, gone_det = np.flatnonzero(ignored_gt), np.flatnonzero(ignored_det)
        gone_gt_starts = np.searchsorted(self.gt_image[gone_gt], edges).tolist()
        gone_det_starts = np.searchsorted(self.det_image[gone_det], edges).tolist()
        gone_gts, gone_dets = gone_gt.tolist(), gone_det.tolist()
        results = []
        for i in range(len(self.repaired_gt)):
            gt, det = gt_starts[i], det_starts[i]
            dropped_gt = [g - gt for g in gone_gts[gone_gt_starts[i] : gone_gt_starts[i + 1]]]
            dropped_det = [d - det for d in gone_dets[gone_det_starts[i] : gone_det_starts[i + 1]]]
            own = matches[match_starts[i] : match_starts[i + 1]]
            results.append(
                ImageResult(
                    gt_starts[i + 1] - gt - len(dropped_gt),
                    det_starts[i + 1] - det - len(dropped_det),
                    [(g - gt, d - det, overlap) for g, d, overlap in own],
                    dropped_gt,
                    dropped_det,
                    self.repaired_gt[i],
                    self.repaired_det[i],
                )
            )
        return results


def measure_pairs(
    gt_polygons: Sequence[Iterable[np.ndarray]],
    gt_ignore: Sequence[Sequence[bool]],
    det_polygons: Sequence[Iterable[np.ndarray]],
) -> Pairs:
    """Find the pairs of the same image that share an area, and measure them.

    Convex quadrilaterals are measured together, all others by shapely.

    Args:
        gt_polygons: per image and text (N_i, 2) points in pixels.
        gt_ignore: per image and text the don't-care mark.
        det_polygons: per image and detection (M_i, 2) points in pixels.

    Raises:
        ValueError: an image has not one mark for each text.
    """
    gts, dets = _Side(gt_polygons), _Side(det_polygons)
    flags = [
        check_flags(marks, count)
        for marks, count in zip(
            gt_ignore, np.bincount(gts.image, minlength=gts.images), strict=True
        )
    ]
    g, d = _meeting(gts, dets)
    shared = np.zeros(len(g))
    unclear = ~(gts.quick[g] & dets.quick[d])
    clear = np.flatnonzero(~unclear)
    shared[clear], unclear[clear] = shared_areas(gts.quads[g[clear]], dets.quads[d[clear]])
    kept = unclear | (shared > 0)
    g, d, shared, unclear = g[kept], d[kept], shared[kept], unclear[kept]
    gt_area, det_area = gts.area[g], dets.area[d]
    for ratio in (shared / (gt_area + det_area - shared), shared / det_area):
        unclear |= np.abs(ratio - _THRESHOLD) < _NEAR
    if unclear.any():
        gt_area[unclear], det_area[unclear], shared[unclear] = _measure_by_shapely(
            gts, dets, g[unclear], d[unclear]
        )
        kept = shared > 0
        g, d, shared, gt_area, det_area = (v[kept] for v in (g, d, shared, gt_area, det_area))
    return Pairs(
        gts.polygons,
        dets.polygons,
        gts.image,
        dets.image,
        np.concatenate([*flags, np.zeros(0, bool)]),
        g,
        d,
        shared / (gt_area + det_area - shared),
        shared / det_area,
        gts.faults,
        dets.faults,
    )


def take_in_order(
    gt: np.ndarray, det: np.ndarray, overlap: np.ndarray
) -> list[tuple[int, int, float]]:
    """Match greedily: each pair in its order, unless one of the two is taken already.

    Args:
        gt, det, overlap: (P,) ground truth, detection and IoU of each pair.

    Returns:
        The pairs that match. With pairs sorted by ground truth and then by detection this is the
        competition script's double loop.
    """
    matches: list[tuple[int, int, float]] = []
    taken_gt, taken_det = set(), set()
    for i, j, value in zip(gt.tolist(), det.tolist(), overlap.tolist()):
        if i not in taken_gt and j not in taken_det:
            taken_gt.add(i)
            taken_det.add(j)
            matches.append((i, j, value))
    return matches


class _Side:
    """The ground truths, or the detections, of all images.

    Attributes:
        quick: (N,) bool: convex quadrilaterals.
        quads: (N, 4, 2) corners of these, clockwise.
        area: (N,) area of all.
        boxes: (N, 4) x0, y0, x1, y1 of all; not a number for those without area.
    """

    def __init__(self, polygons: Sequence[Iterable[np.ndarray]]):
        rows = [row if isinstance(row, np.ndarray) else list(row) for row in polygons]
        self.images = len(rows)
        self.image = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
        self.faults: list[Counter[str]] = [Counter() for _ in rows]
        full = [row for row in rows if len(row)]
        self.polygons: Sequence[np.ndarray]
        if full and all(isinstance(row, np.ndarray) and row.shape[1:] == (4, 2) for row in full):
            self.quads = np.concatenate(full, dtype=np.float64)
            self.polygons = cast(Sequence[np.ndarray], self.quads.copy())
        else:
            self.polygons = [np.asarray(p, np.float64) for p in itertools.chain(*full)]
            self.quads = np.zeros((len(self.polygons), 4, 2))
            is_quad = np.array([p.shape == (4, 2) for p in self.polygons], bool)
            if is_quad.any():
                quads = [self.polygons[i] for i in np.flatnonzero(is_quad).tolist()]
                self.quads[is_quad] = np.concatenate(quads).reshape(-1, 4, 2)
        with np.errstate(invalid="ignore"):
            area = signed_areas(self.quads)
            self.quick = is_convex(self.quads) & (np.abs(area) >= _LEAST_AREA)
        self.area = np.abs(area)
        backward = self.quick & (area < 0)
        self.quads[backward] = self.quads[backward, ::-1]
        self.boxes = np.ascontiguousarray(quad_boxes(self.quads).T)
        self._shapes: dict[int, object] = {}
        if not self.quick.all():
            self._repair(np.flatnonzero(~self.quick))

    def _repair(self, slow: np.ndarray) -> None:
        import shapely

        from .shapes import to_shapes

        images, start = self.image[slow], 0
        # to_shapes counts faults for one image at a time.
        for end in [*(np.flatnonzero(np.diff(images)) + 1).tolist(), len(slow)]:
            faults = self.faults[images[start]]
            shapes = to_shapes([self.polygons[i] for i in slow[start:end].tolist()], faults)
            self._shapes.update(zip(slow[start:end].tolist(), shapes))
            self.area[slow[start:end]] = shapely.area(shapes)
            self.boxes[slow[start:end]] = shapely.bounds(shapes)
            start = end

    def shapes(self, indices: np.ndarray) -> np.ndarray:
        """(N,) shapely polygons."""
        import shapely

        shapes = np.empty(len(indices), dtype=object)
        for place, i in enumerate(indices.tolist()):
            if i not in self._shapes:
                self._shapes[i] = shapely.Polygon(self.polygons[i])
            shapes[place] = self._shapes[i]
        return shapes


def same_image(
    gt_image: np.ndarray, det_image: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of the same image, block by block, sorted by ground truth, then by detection.

    Args:
        gt_image: (G,) ascending image of each ground truth.
        det_image: (D,) the same of the detections.
    """
    images = int(max(gt_image.max(initial=-1), det_image.max(initial=-1))) + 1
    counts = np.bincount(det_image, minlength=images)
    starts = np.concatenate([[0], np.cumsum(counts)])
    partners = counts[gt_image]
    ends = np.cumsum(partners)
    first = 0
    while first < len(partners):
        done = ends[first] - partners[first]
        last = max(first + 1, int(np.searchsorted(ends, done + _BLOCK, side="right")))
        repeats = partners[first:last]
        g = np.repeat(np.arange(first, last), repeats)
        d = np.arange(len(g)) - np.repeat(ends[first:last] - repeats - done, repeats)
        yield g, d + starts[gt_image[g]]
        first = last


def _meeting(gts: _Side, dets: _Side) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of the same image whose boxes meet."""
    found_g, found_d = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for g, d in same_image(gts.image, dets.image):
        a, b = gts.boxes[g], dets.boxes[d]
        meet = (a[:, 0] <= b[:, 2]) & (b[:, 0] <= a[:, 2])
        meet &= (a[:, 1] <= b[:, 3]) & (b[:, 1] <= a[:, 3])
        found_g.append(g[meet])
        found_d.append(d[meet])
    return np.concatenate(found_g), np.concatenate(found_d)


def _measure_by_shapely(
    gts: _Side, dets: _Side, g: np.ndarray, d: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P,) areas of the ground truths, of the detections, and of what they share."""
    import shapely

    first, second = gts.shapes(g), dets.shapes(d)
    shared = shapely.area(shapely.intersection(first, second))
    return shapely.area(first), shapely.area(second), shared
