"""Target maps of EAST, drawn from polygons (EAST paper section 3.3; argman/EAST icdar.py)."""

import numpy as np

from ....structures import TextInstances
from ..raster import pixels_inside
from ..rectangles import distances_to_sides, fit_rectangles, rectangle_corners
from .decode import STRIDE


def draw_east_labels(
    texts: TextInstances,
    image_size: tuple[int, int],
    *,
    shrink_ratio: float = 0.3,
    min_text_size: float = 10.0,
    angle_range: int = 45,
) -> dict[str, np.ndarray]:
    """Draw the maps EAST is trained on, one cell for 4 x 4 pixels.

    A cell is text if its centre lies in the shrunk quadrilateral, see :func:`shrink_quads`, that
    is the polygon itself if it has four points and else its minimum-area rectangle. A text whose
    shrunk quadrilateral holds no cell's centre gets the one cell under the middle of it. Where
    texts overlap, a cell belongs to the one with the smaller rectangle.

    Ignored texts, and texts whose rectangle has a side below ``min_text_size`` or whose only cell
    has its centre outside it, draw nothing: cells with the centre in their polygon are taken out
    of "text_mask".

    Args:
        texts, image_size: see :meth:`~..text_head.TextHead.build_labels`.
        shrink_ratio: see :func:`shrink_quads`.
        min_text_size: in pixels.
        angle_range: 45 or 90, see :func:`fit_rectangles`.

    Returns:
        Maps of (ceil(H / 4), ceil(W / 4)): "text" uint8 in {0, 1}; "text_mask" uint8, 0 where
        ignored; "geometry" float32 (5, ...), in text cells the distances to the top, right, bottom
        and left side in pixels and the angle in radians, else 0.
    """
    shape = -(-image_size[0] // STRIDE), -(-image_size[1] // STRIDE)
    text = np.zeros(shape, np.uint8)
    text_mask = np.ones(shape, np.uint8)
    # Cells first: writing five numbers side by side is faster than into five planes.
    geometry = np.zeros((*shape, 5), np.float32)

    texts = texts[np.array([len(polygon) >= 3 for polygon in texts.polygons], bool)]
    rings = [np.asarray(polygon, np.float64) for polygon in texts.polygons]
    centres, sizes, angles = fit_rectangles(rings, angle_range)
    quads = rectangle_corners(centres, sizes, angles)
    for i, ring in enumerate(rings):
        if len(ring) == 4:
            quads[i] = ring
    shrunk = shrink_quads(quads, shrink_ratio)
    skip = texts.ignore | (sizes.min(axis=1, initial=np.inf) < min_text_size)
    # Large ones first, so that small ones are drawn over them.
    for i in np.argsort(-sizes.prod(axis=1), kind="stable"):
        if skip[i]:
            continue
        rows, columns = _text_cells(shrunk[i], shape)
        points = (np.stack([columns, rows], axis=1) + 0.5) * STRIDE
        distances = distances_to_sides(points, centres[i], sizes[i], angles[i])
        if not (distances > 0).all() or not len(rows):
            skip[i] = True
            continue
        text[rows, columns] = 1
        geometry[rows, columns, :4] = distances
        geometry[rows, columns, 4] = angles[i]
    for i in np.flatnonzero(skip).tolist():
        window, inside = pixels_inside(rings[i] / STRIDE, shape)
        text_mask[window][inside] = 0
    return {
        "text": text,
        "text_mask": text_mask,
        "geometry": np.ascontiguousarray(geometry.transpose(2, 0, 1)),
    }


def shrink_quads(quads: np.ndarray, ratio: float = 0.3) -> np.ndarray:
    """Shrink quadrilaterals by a share of their sides (EAST paper section 3.3.1).

    Each corner moves inward along both its sides, by ``ratio`` times the shorter of the two: first
    along the pair of opposite sides that is longer on the whole, then along the other pair as the
    first move left it (argman/EAST icdar.py).

    Args:
        quads: (M, 4, 2), corners in cyclic order.
        ratio: below 0.5.

    Returns:
        (M, 4, 2), in the same order, float64.
    """
    quads = np.array(quads, np.float64)
    # Side i runs from corner i to corner i + 1.
    lengths = np.linalg.norm(np.roll(quads, -1, axis=1) - quads, axis=2)
    moves = ratio * np.minimum(lengths, np.roll(lengths, 1, axis=1))
    # Roll the quadrilaterals so that side 0 is one of the longer pair, and back in the end.
    turned = lengths[:, 0] + lengths[:, 2] <= lengths[:, 1] + lengths[:, 3]
    quads[turned] = np.roll(quads[turned], -1, axis=1)
    moves[turned] = np.roll(moves[turned], -1, axis=1)
    for starts, ends in (([0, 3], [1, 2]), ([0, 1], [3, 2])):
        along = quads[:, ends] - quads[:, starts]
        along /= np.maximum(np.linalg.norm(along, axis=2, keepdims=True), 1e-9)
        quads[:, starts] += moves[:, starts, None] * along
        quads[:, ends] -= moves[:, ends, None] * along
    quads[turned] = np.roll(quads[turned], 1, axis=1)
    return quads


def _text_cells(quad: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the cells in a shrunk quadrilateral, else of the one under its middle."""
    window, inside = pixels_inside(quad / STRIDE, shape)
    rows, columns = np.nonzero(inside)
    if len(rows):
        return rows + window[0].start, columns + window[1].start
    column, row = np.floor(quad.mean(axis=0) / STRIDE).astype(int)
    within = int(0 <= row < shape[0] and 0 <= column < shape[1])
    return np.full(within, row), np.full(within, column)
