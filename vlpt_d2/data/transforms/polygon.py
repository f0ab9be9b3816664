"""Polygon geometry of the data path: annotations to polygons, repair, clipping."""

from collections.abc import Sequence

import numpy as np
import shapely
from detectron2.structures import BoxMode

from ...structures import repair_polygon


def rings_of(annotations: Sequence[dict]) -> tuple[list[np.ndarray], list[bool]]:
    """The texts of detectron2 annotations as they stand.

    Every ring of "segmentation" is a text of its own; without one, the box is.

    Args:
        annotations: dicts with "bbox" and "bbox_mode" or "segmentation" ([[x0, y0, ...], ...]),
            and "iscrowd" (1 means "don't care").

    Returns:
        (N_i, 2) float64 arrays of (x, y) pixels, and what to ignore.
    """
    rings, ignore = [], []
    for annotation in annotations:
        segmentation = annotation.get("segmentation")
        if not segmentation:
            x0, y0, x1, y1 = BoxMode.convert(
                list(annotation["bbox"]), annotation["bbox_mode"], BoxMode.XYXY_ABS
            )
            segmentation = [[x0, y0, x1, y0, x1, y1, x0, y1]]
        for ring in segmentation:
            rings.append(np.asarray(ring, np.float64).reshape(-1, 2))
            ignore.append(bool(annotation.get("iscrowd", 0)))
    return rings, ignore


def polygons_from_annotations(
    annotations: Sequence[dict],
) -> tuple[list[np.ndarray], np.ndarray, int]:
    """Read the polygons of detectron2 annotations, :func:`rings_of`, fit to draw labels of.

    Faulty rings are repaired by :func:`~vlpt_d2.structures.repair_polygon`.

    Args:
        annotations: see :func:`rings_of`.

    Returns:
        (N_i, 2) float64 arrays of (x, y) pixels, (N,) bool of what to ignore, and the number of
        rings that were repaired, or dropped for want of an area.
    """
    rings, ignore = rings_of(annotations)
    kept, kept_ignore, faults = [], [], 0
    for ring, skip in zip(rings, ignore):
        ring, fault = repair_polygon(ring)
        faults += fault is not None
        if ring is not None:
            kept.append(ring)
            kept_ignore.append(skip)
    return kept, np.asarray(kept_ignore, bool), faults


def polygon_parts(shape: shapely.Geometry) -> list[np.ndarray]:
    """Return the outer rings of a geometry's polygons of positive area, (N, 2) float64 each."""
    return [
        np.asarray(part.exterior.coords)[:-1]
        for part in shapely.get_parts(shapely.get_parts(shape))
        if part.geom_type == "Polygon" and part.area > 0
    ]


def clip_polygons(
    polygons: Sequence[np.ndarray],
    ignore: np.ndarray,
    image_size: tuple[int, int],
    min_visible: float = 0.5,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Cut polygons exactly at the border of an image.

    A text that is cut stays a text if one piece of at least ``min_visible`` of its area is left,
    since the rest of it is still read as text; else its pieces are ignored. What lies outside is
    dropped.

    Args:
        polygons: (N_i, 2) arrays of (x, y) pixels, simple.
        ignore: (len(polygons),) bool.
        image_size: (H, W).
        min_visible: share of the area, in [0, 1].

    Returns:
        Polygons within [0, W] x [0, H], float64, and their ignore flags. Cut ones go round the same
        way as before, from the point nearest to the first one on, so that a quadrilateral that is
        still one keeps its reading direction.
    """
    height, width = image_size
    window = shapely.box(0, 0, width, height)
    kept, kept_ignore = [], []
    for polygon, skip in zip(polygons, ignore):
        low, high = polygon.min(axis=0), polygon.max(axis=0)
        if (low >= 0).all() and (high <= (width, height)).all():
            kept.append(polygon)
            kept_ignore.append(bool(skip))
            continue
        if (high <= 0).any() or (low >= (width, height)).any():
            continue
        # A transform may have pressed a thin one onto itself.
        ring, _ = repair_polygon(polygon)
        if ring is None:
            continue
        shape = shapely.Polygon(ring)
        parts = polygon_parts(shapely.intersection(shape, window))
        whole = len(parts) == 1 and _area(parts[0]) >= min_visible * shape.area
        kept.extend(_in_order_of(part, polygon) for part in parts)
        kept_ignore.extend([bool(skip) or not whole] * len(parts))
    return kept, np.asarray(kept_ignore, bool)


def _in_order_of(ring: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Reorder a ring to go round as a polygon does, from the point nearest to its first one on."""
    if shapely.is_ccw(shapely.LinearRing(ring)) != shapely.is_ccw(shapely.LinearRing(polygon)):
        ring = ring[::-1]
    first = ((ring - polygon[0]) ** 2).sum(axis=1).argmin()
    return np.roll(ring, -first, axis=0)


def _area(ring: np.ndarray) -> float:
    return shapely.Polygon(ring).area
