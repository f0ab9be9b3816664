"""From DB's probability map to text polygons (MhLiao/DB structure/representers)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any

import cv2
import numpy as np
import shapely

from ..decoded import DecodedTexts
from ..raster import mean_inside, pixel_counts
from .unclip import exact_polygons, published_boxes, published_polygons

# Tolerances in pixels of the outlines that grow: the steps of a slanted border on the pixel grid
# are no corners. A hull has fewer of them than a contour.
_HULL_TOLERANCE, _CONTOUR_TOLERANCE = 0.75, 1.0
# Runs of text pixels, and corners of outlines, to a pixel of the map, from which on specks are
# cleared away and holes filled before contours are followed, which then takes longer than numbering
# both. A page of 200 words has 0.005 runs. A speck or hole has four corners; a comb has but runs.
_MANY_RUNS, _MANY_CORNERS = 0.04, 0.15


def decode_maps(
    maps: Mapping[str, np.ndarray], image_size: tuple[int, int], **decoding: Any
) -> DecodedTexts:
    """Decode "probability", (1, H, W); of an image; see ``TextHead.decode``."""
    height, width = image_size
    probability = maps["probability"][0, :height, :width]
    return decode_probability_map(probability, **decoding)


def decode_probability_map(
    probability: np.ndarray,
    *,
    polygon_mode: bool = False,
    binary_thresh: float = 0.3,
    box_thresh: float = 0.6,
    unclip: str = "published",
    unclip_ratio: float = 1.5,
    shrink_ratio: float = 0.4,
    min_size: float = 3.0,
    max_candidates: int = 1000,
    epsilon: float = 0.002,
) -> DecodedTexts:
    """Find the texts of a probability map.

    Regions above ``binary_thresh`` are outlined, scored by the mean probability inside the
    outline, and grown back to the texts they are shrunk from (see :mod:`.unclip`).

    Args:
        probability: (H, W) float32 in [0, 1].
        polygon_mode: outlines are simplified contours and grow into polygons; otherwise they are
            minimum-area rectangles and the texts are, too.
        binary_thresh, box_thresh: thresholds on pixels and on scores.
        unclip: "published", by area * ``unclip_ratio`` / perimeter, or "exact", the inverse of the
            labels' shrinking. The first grows the outline, the second the region itself, of which
            a box is then the minimum-area rectangle.
        unclip_ratio: of "published".
        shrink_ratio: of the labels, for "exact".
        min_size: drop regions whose minimum-area rectangle has a side below this many pixels, and
            grown ones with a side below this + 2.
        max_candidates: regions looked at, largest bounding boxes first; 0: all.
        epsilon: simplification tolerance of ``polygon_mode``, as a share of the perimeter, but a
            pixel at least.

    Returns:
        The texts. "candidates" are the regions, less those known to be too small.

    Raises:
        ValueError: ``unclip`` is neither.
    """
    if unclip not in ("published", "exact"):
        raise ValueError(f'MODEL.DB.UNCLIP is "published" or "exact", not {unclip!r}')
    limit = max_candidates or probability.size
    contours, dropped = _text_contours(probability > binary_thresh, min_size, limit)
    counts = Counter(candidates=len(contours) + dropped, dropped_candidates=dropped)
    rectangles = _rectangles(contours)
    large = rectangles[:, 2:4].min(axis=1) + 1.0 >= min_size
    contours, rectangles = list(compress(contours, large)), rectangles[large]
    outlines: Any
    if polygon_mode:
        outlines = [_simplified(contour, epsilon) for contour in contours]
    else:
        outlines = _corners(rectangles)
    scores = mean_inside(probability, outlines)
    sure = scores >= box_thresh
    if polygon_mode:
        sure &= np.fromiter((len(outline) >= 4 for outline in outlines), bool, len(outlines))
    scores = scores[sure]

    if polygon_mode or unclip == "exact":
        outlines, contours = list(compress(outlines, sure)), list(compress(contours, sure))
        if not polygon_mode:
            outlines = [_smooth_hull(contour) for contour in contours]
        if unclip == "exact":
            shapes = exact_polygons(outlines, pixel_counts(contours), shrink_ratio)
        else:
            shapes = published_polygons(outlines, unclip_ratio)
        texts, whole = _rings(shapes)
        rectangles, scores = _rectangles(texts), scores[whole]
    else:
        rectangles = published_boxes(rectangles[sure], unclip_ratio)
    large = rectangles[:, 2:4].min(axis=1) >= min_size + 2
    # Contours run through pixel centres; image coordinates start at a pixel's corner.
    half = np.float32(0.5)
    if polygon_mode:
        polygons = [text + half for text in compress(texts, large)]
    else:
        polygons = list(_corners(rectangles[large]) + half)
    return DecodedTexts(polygons, scores[large].astype(np.float32), counts)


def _text_contours(
    binary: np.ndarray, min_size: float, max_candidates: int
) -> tuple[list[np.ndarray], int]:
    """Outer contours of the regions, and how many were left out.

    Where these are more than ``max_candidates``, those that cannot pass ``min_size`` go first,
    which is not a loss, and then those with the smallest bounding boxes.
    """
    if _is_speckled(binary):
        binary, dropped = _without_specks(binary, min_size, max_candidates)
        binary = _without_holes(binary, min_size)
    else:
        dropped = 0
    # Two levels: what lies in the hole of another region is an outer contour of its own.
    contours, hierarchy = cv2.findContours(
        binary.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    if not contours:
        return [], dropped
    outer = np.flatnonzero(hierarchy[0, :, 3] < 0).tolist()
    if len(outer) > max_candidates:
        boxes = np.array([cv2.boundingRect(contours[i]) for i in outer], np.float64)
        large, left_out = _largest(boxes, min_size, max_candidates)
        outer, dropped = [outer[i] for i in large.tolist()], dropped + left_out
    return [contours[i] for i in outer], dropped


def _is_speckled(binary: np.ndarray) -> bool:
    """Whether a map may have tens of thousands of regions or holes, by every seventh row."""
    upper, lower = binary[:-1:7], binary[1::7]
    across = upper[:, 1:] != upper[:, :-1]
    if np.count_nonzero(across) <= 2 * _MANY_RUNS * upper.size:
        return False
    down = upper != lower
    # Of two by two pixels one differs from the others, or two from two diagonally.
    single = np.count_nonzero(down[:, 1:] != down[:, :-1])
    crossed = np.count_nonzero(down[:, 1:] & down[:, :-1] & across)
    return bool(single + 2 * crossed > _MANY_CORNERS * upper.size)


def _without_specks(
    binary: np.ndarray, min_size: float, max_candidates: int
) -> tuple[np.ndarray, int]:
    """Clear the regions of a map that :func:`_text_contours` would not return.

    The map of a network in its first epochs holds tens of thousands of specks: following their
    contours would take longer than all the rest.

    Returns:
        A map like ``binary``, and how many regions are missing that may pass ``min_size``.
    """
    regions, boxes = _components(binary, 8)
    if len(boxes) <= max_candidates:
        return binary, 0
    large, dropped = _largest(boxes, min_size, max_candidates)
    keep = np.zeros(len(boxes) + 1, bool)
    keep[large + 1] = True
    return keep[regions], dropped


def _without_holes(binary: np.ndarray, min_size: float) -> np.ndarray:
    """Fill the holes that cannot hold a region that may pass ``min_size``; outer contours stay."""
    ground, boxes = _components(~binary, 4)
    low, sides = boxes[:, :2], boxes[:, 2:]
    enclosed = ((low > 0) & (low + sides < binary.shape[::-1])).all(axis=1)
    holds = (sides > 2).all(axis=1) & _may_pass(sides - 2, min_size)
    return np.concatenate([[True], enclosed & ~holds])[ground]


def _components(binary: np.ndarray, connectivity: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of a map's components, from 1, and their bounding boxes (x, y, width, height)."""
    _, regions, stats, _ = cv2.connectedComponentsWithStats(
        binary.view(np.uint8), connectivity=connectivity, ltype=cv2.CV_32S
    )
    return regions, stats[1:, : cv2.CC_STAT_AREA].astype(np.float64)


def _may_pass(sides: np.ndarray, min_size: float) -> np.ndarray:
    """Whether regions with bounding boxes of these sides (N, 2), in pixels, may pass."""
    # The bounding box is one enclosing rectangle, so it bounds the area of the smallest one, and
    # with it the square of that one's short side: this drops nothing that would have passed.
    return (sides - 1.0).prod(axis=1) >= max(min_size - 1.0, 0.0) ** 2


def _largest(boxes: np.ndarray, min_size: float, limit: int) -> tuple[np.ndarray, int]:
    """Indices of the largest regions that may pass ``min_size``, and how many more there are.

    Args:
        boxes: upright bounding boxes (x, y, width, height) in pixels, (N, 4).
        min_size, limit: of :func:`decode_probability_map`.
    """
    possible = np.flatnonzero(_may_pass(boxes[:, 2:], min_size))
    extents = (boxes[possible, 2:] - 1.0).prod(axis=1)
    order = np.argsort(-extents, kind="stable")[:limit]
    return possible[order], len(possible) - len(order)


def _rectangles(rings: Sequence[np.ndarray]) -> np.ndarray:
    """Minimum-area rectangles, rows (centre x, centre y, width, height, degrees)."""
    rectangles = [(*centre, *sides, angle) for centre, sides, angle in map(cv2.minAreaRect, rings)]
    return np.array(rectangles, np.float64).reshape(-1, 5)


def _corners(rectangles: np.ndarray) -> np.ndarray:
    """``cv2.boxPoints`` of rows (centre x, centre y, width, height, degrees), (N, 4, 2) float32."""
    centre, half = rectangles[:, None, :2], 0.5 * rectangles[:, 2:4, None]
    radians = np.radians(rectangles[:, 4])
    cos, sin = np.cos(radians), np.sin(radians)
    right = half[:, 0] * np.stack([cos, sin], axis=1)
    down = half[:, 1] * np.stack([-sin, cos], axis=1)
    offsets = np.stack([down - right, -down - right, right - down, right + down], axis=1)
    return (centre + offsets).astype(np.float32)


def _simplified(contour: np.ndarray, epsilon: float) -> np.ndarray:
    tolerance = max(epsilon * cv2.arcLength(contour, True), _CONTOUR_TOLERANCE)
    return cv2.approxPolyDP(contour, tolerance, True)[:, 0]


def _smooth_hull(contour: np.ndarray) -> np.ndarray:
    return cv2.approxPolyDP(cv2.convexHull(contour), _HULL_TOLERANCE, True)[:, 0]


def _rings(shapes: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Outer rings of the shapes that are one polygon, and which shapes these are.

    As in the reference, a text that falls apart is not a detection.
    """
    whole = shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON.value
    whole &= ~shapely.is_empty(shapes)
    rings = shapely.get_exterior_ring(shapes[whole])
    return [shapely.get_coordinates(ring)[:-1].astype(np.float32) for ring in rings], whole
