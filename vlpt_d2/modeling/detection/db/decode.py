"""From DB's probability map to text polygons (MhLiao/DB structure/representers)."""

import cv2
import numpy as np
import shapely

from ..raster import mean_inside


def decode_probability_map(
    probability: np.ndarray,
    *,
    polygon_mode: bool = False,
    binary_thresh: float = 0.3,
    box_thresh: float = 0.6,
    unclip_ratio: float = 1.5,
    min_size: float = 3.0,
    max_candidates: int = 1000,
    epsilon: float = 0.002,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Find the texts of a probability map.

    Regions above ``binary_thresh`` are outlined, scored by the mean probability inside the
    outline, and grown by D' = A * unclip_ratio / L (area and perimeter of the region). A region
    reaches half a pixel beyond its outline, which runs through pixel centres.

    Args:
        probability: (H, W) float32 in [0, 1].
        polygon_mode: outlines are simplified contours, grown with round corners; otherwise they
            are minimum-area rectangles, which grow into rectangles.
        binary_thresh, box_thresh: thresholds on pixels and on scores.
        unclip_ratio: see above.
        min_size: drop regions whose minimum-area rectangle has a side below this many pixels, and
            grown ones with a side below this + 2.
        max_candidates: regions looked at, largest bounding boxes first.
        epsilon: simplification tolerance of ``polygon_mode``, as a share of the perimeter.

    Returns:
        Polygons as (N, 2) float32 arrays of (x, y) pixels (N = 4 in box mode, clockwise on
        screen), which may reach beyond the map, and their scores, (M,) float32.
    """
    contours = _text_contours(probability > binary_thresh, min_size, max_candidates)
    settings = (box_thresh, unclip_ratio, min_size)
    if polygon_mode:
        polygons, scores = _grown_polygons(probability, contours, *settings, epsilon)
    else:
        polygons, scores = _grown_boxes(probability, contours, *settings)
    # Contours run through pixel centres; image coordinates start at a pixel's corner.
    return [(p + 0.5).astype(np.float32) for p in polygons], np.asarray(scores, np.float32)


def _text_contours(binary: np.ndarray, min_size: float, max_candidates: int) -> list[np.ndarray]:
    """Outer contours of the regions that may pass ``min_size``, largest bounding box first.

    The map of a network in its first epochs holds tens of thousands of specks: they are wiped off
    by the statistics of one labelling before any is turned into a contour.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(binary.astype(np.uint8), connectivity=8)
    extents = (stats[:, cv2.CC_STAT_WIDTH] - 1.0) * (stats[:, cv2.CC_STAT_HEIGHT] - 1.0)
    # The bounding box is one enclosing rectangle, so it bounds the area of the smallest one, and
    # with it the square of that one's short side: this drops nothing that would have passed.
    keep = extents >= max(min_size - 1.0, 0.0) ** 2
    keep[0] = False
    if keep.sum() > max_candidates:
        keep[np.argsort(np.where(keep, -extents, np.inf), kind="stable")[max_candidates:]] = False
    if not keep.any():
        return []
    # Two levels: what lies in the hole of another region is an outer contour of its own.
    contours, hierarchy = cv2.findContours(
        keep.astype(np.uint8)[labels], cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    return [c[:, 0] for c, (_, _, _, parent) in zip(contours, hierarchy[0]) if parent < 0]


def _short_side(points: np.ndarray) -> float:
    return min(cv2.minAreaRect(points)[1])


def _grown_boxes(probability, contours, box_thresh, unclip_ratio, min_size):
    polygons, scores = [], []
    for contour in contours:
        centre, sides, angle = cv2.minAreaRect(contour)
        if min(sides) + 1.0 < min_size:
            continue
        score = mean_inside(probability, cv2.boxPoints((centre, sides, angle)))
        if score < box_thresh:
            continue
        # The smallest rectangle around a rectangle grown by D' with round corners is the
        # rectangle with each side moved out by D': no polygon offsetting needed.
        width, height = sides[0] + 1.0, sides[1] + 1.0
        growth = width * height * unclip_ratio / (width + height)  # 2 D'
        if min(width, height) + growth < min_size + 2:
            continue
        polygons.append(cv2.boxPoints((centre, (width + growth, height + growth), angle)))
        scores.append(score)
    return polygons, scores


def _grown_polygons(probability, contours, box_thresh, unclip_ratio, min_size, epsilon):
    outlines, candidate_scores = [], []
    for contour in contours:
        outline = cv2.approxPolyDP(contour, epsilon * cv2.arcLength(contour, True), True)[:, 0]
        if len(outline) < 4 or _short_side(contour) + 1.0 < min_size:
            continue
        score = mean_inside(probability, outline)
        if score >= box_thresh:
            outlines.append(shapely.Polygon(outline))
            candidate_scores.append(score)

    shapes = np.asarray(outlines, dtype=object)
    # Area and perimeter of the outline grown by 1/2, by Steiner's formula.
    lengths = shapely.length(shapes)
    areas = shapely.area(shapes) + 0.5 * lengths + 0.25 * np.pi
    distances = 0.5 + areas * unclip_ratio / (lengths + np.pi)
    # A simplified contour may cross itself; growing repairs it.
    grown = shapely.buffer(shapes, distances, quad_segs=4, join_style="round")

    polygons, scores = [], []
    for shape, score in zip(grown, candidate_scores):
        # As in the reference, a text that falls apart is no detection.
        if shape.geom_type != "Polygon" or shape.is_empty:
            continue
        ring = np.asarray(shape.exterior.coords, np.float32)[:-1]
        if _short_side(ring) >= min_size + 2:
            polygons.append(ring)
            scores.append(score)
    return polygons, scores
