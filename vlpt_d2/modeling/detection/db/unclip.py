"""How DB's shrunk texts grow back.

DB's labels shrink a text of area A and perimeter L by D = A (1 - r^2) / L. Two ways back:

- The published decoder (MhLiao/DB structure/representers/seg_detector_representer.py) grows a
  region of area A' and perimeter L' by A' u / L' with a fixed ratio u, 1.5 for boxes and 2.0 for
  polygons, which is D for one shape of text and less for a longer one.
- The exact inverse: moved out by D, a region with the corner term k has the area A' + L' D + k D^2
  and the perimeter L' + 2 k D (Steiner's formula). That these two give D again is a quadratic
  equation for it.
"""

from collections.abc import Sequence

import numpy as np
import shapely

from ..raster import SHARP, growth

# How far the exact inverse lets a corner reach out, in units of the distance it grows by: those of
# up to 60 degrees keep their tip, which the steps of a pixel grid seldom fake.
_MITRE_LIMIT = 2.0


def published_boxes(rectangles: np.ndarray, ratio: float) -> np.ndarray:
    """Grow rectangles by area * ratio / perimeter on each side.

    The smallest rectangle around a rectangle grown with round corners is the rectangle with each
    side moved out: no polygon offsetting needed.

    Args:
        rectangles: rows (centre x, centre y, width, height, angle), through the centres of the
            region's outer pixels, which reach half a pixel farther.
        ratio: u.
    """
    grown = rectangles.copy()
    grown[:, 2:4] += 1.0
    width, height = grown[:, 2], grown[:, 3]
    grown[:, 2:4] += (width * height * ratio / (width + height))[:, None]
    return grown


def published_polygons(outlines: Sequence[np.ndarray], ratio: float) -> np.ndarray:
    """Grow regions by area * ratio / perimeter, with round corners.

    Args:
        outlines: (N_i, 2) each, through the centres of the region's outer pixels; N_i >= 3.
        ratio: u.

    Returns:
        (len(outlines),) shapely geometries.
    """
    shapes = _shapes(outlines)
    lengths = shapely.length(shapes)
    # Area and perimeter of the outline grown by half a pixel with round corners.
    areas = shapely.area(shapes) + 0.5 * lengths + 0.25 * np.pi
    distances = 0.5 + areas * ratio / (lengths + np.pi)
    # A simplified contour may cross itself; growing repairs it.
    return shapely.buffer(shapes, distances, quad_segs=4, join_style="round")


def exact_polygons(
    outlines: Sequence[np.ndarray], pixels: np.ndarray, shrink_ratio: float
) -> np.ndarray:
    """Grow regions by the distance that the labels shrank them by, with sharp corners.

    Args:
        outlines: (N_i, 2) each, through the centres of the region's outer pixels.
        pixels: (len(outlines),) number of pixels of each region, holes filled. The pixels whose
            centres lie in a shape are as many as its area, on average and whatever its slant: the
            outline is first moved out until it encloses this area (by half a pixel where it is
            upright, by less where it is slanted).
        shrink_ratio: r of the labels, in (0, 1).

    Returns:
        (len(outlines),) shapely geometries.
    """
    shapes = _shapes(outlines)
    # The outline of a line runs along it and back.
    lengths = np.where(shapely.get_dimensions(shapes) == 1, 2.0, 1.0) * shapely.length(shapes)
    missing = np.maximum(pixels - shapely.area(shapes), 0.0)
    to_edge = growth(lengths, missing)
    distances = exact_distance(pixels, lengths + 2.0 * SHARP * to_edge, shrink_ratio)
    return shapely.buffer(
        shapes,
        to_edge + distances,
        join_style="mitre",
        cap_style="square",
        mitre_limit=_MITRE_LIMIT,
    )


def exact_distance(
    areas: np.ndarray, lengths: np.ndarray, shrink_ratio: float, corners: float = SHARP
) -> np.ndarray:
    """Solve D (L' + 2 k D) = c (A' + L' D + k D^2), c = 1 - r^2, for D in pixels.

    Args:
        areas, lengths: A' and L' of shrunk texts, (N,).
        shrink_ratio: r in (0, 1).
        corners: k.
    """
    c = 1.0 - shrink_ratio**2
    return growth((1.0 - c) * lengths, c * areas, corners * (2.0 - c))


def _shapes(outlines: Sequence[np.ndarray]) -> np.ndarray:
    """Polygons, or the line or point that fewer than three points are."""
    shapes = np.empty(len(outlines), object)
    sizes = np.array([len(outline) for outline in outlines], np.int64)
    rings = np.flatnonzero(sizes >= 3)
    if len(rings):
        points = np.concatenate([outlines[i] for i in rings.tolist()])
        owners = np.repeat(np.arange(len(rings)), sizes[rings])
        shapes[rings] = shapely.polygons(shapely.linearrings(points, indices=owners))
    for i in np.flatnonzero(sizes < 3).tolist():
        shapes[i] = shapely.Point(outlines[i]) if sizes[i] == 1 else shapely.LineString(outlines[i])
    return shapes
