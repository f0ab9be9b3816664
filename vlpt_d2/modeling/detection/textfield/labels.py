"""Target maps of TextField, drawn from polygons (paper section III-B; YukangWang/TextField)."""

import cv2
import numpy as np

from ....structures import TextInstances
from ..raster import pixels_inside
from .decode import STRIDE


def draw_textfield_labels(
    texts: TextInstances, image_size: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Draw the maps TextField is trained on, one cell for 2 x 2 pixels.

    A cell is text if its centre lies inside a polygon. Its direction is the unit vector to it from
    the nearest point of the polygon's border; elsewhere it is 0. Where texts overlap, a cell
    belongs to the one with the smaller area. Ignored texts are taken out of "text_mask", also where
    other texts lie over them.

    Returns:
        Maps of (ceil(H / 2), ceil(W / 2)): "direction" float16 (2, ...), x and y; "text_weight"
        float32, in text cells the mean area of the image's texts over the area of the cell's own,
        both as they are seen, else 0; "text_mask" uint8, 0 where ignored.
    """
    shape = -(-image_size[0] // STRIDE), -(-image_size[1] // STRIDE)
    direction = np.zeros((2, *shape), np.float16)
    owners = np.zeros(shape, np.int32)
    mask = np.ones(shape, np.uint8)
    rings = [np.asarray(polygon, np.float32) / STRIDE for polygon in texts.polygons]
    # Large ones first, so that small ones are drawn over them.
    areas = [cv2.contourArea(ring) if len(ring) >= 3 else 0.0 for ring in rings]
    for i in np.argsort(np.negative(areas), kind="stable").tolist():
        if len(rings[i]) < 3:
            continue
        window, inside = pixels_inside(rings[i], shape)
        if texts.ignore[i]:
            mask[window][inside] = 0
            continue
        rows, columns = np.nonzero(inside)
        x, y = _from_border(columns + 0.5 + window[1].start, rows + 0.5 + window[0].start, rings[i])
        length = np.hypot(x, y)
        # A centre on the border itself has no direction.
        on = length > 0
        cells = (rows[on] + window[0].start, columns[on] + window[1].start)
        direction[0][cells] = x[on] / length[on]
        direction[1][cells] = y[on] / length[on]
        owners[cells] = i + 1
    sizes = np.bincount((owners * mask).ravel(), minlength=len(rings) + 1).astype(np.float32)
    seen = np.flatnonzero(sizes[1:]) + 1
    weights = np.zeros_like(sizes)
    weights[seen] = sizes[seen].mean() / sizes[seen] if len(seen) else 0.0
    return {
        "direction": direction,
        "text_weight": weights[owners * mask],
        "text_mask": mask,
    }


def _from_border(x: np.ndarray, y: np.ndarray, ring: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors to points (P,) from the nearest points of a ring (N, 2), the first of equals."""
    x, y = x.astype(np.float32), y.astype(np.float32)
    nearest = np.full(x.shape, np.inf, np.float32)
    vector_x, vector_y = np.zeros_like(x), np.zeros_like(x)
    for start, end in zip(ring, np.roll(ring, -1, axis=0)):
        edge_x, edge_y = end - start
        square = max(edge_x * edge_x + edge_y * edge_y, np.float32(1e-12))
        to_x, to_y = x - start[0], y - start[1]
        share = to_x * (edge_x / square)
        share += to_y * (edge_y / square)
        np.clip(share, 0, 1, out=share)
        to_x -= share * edge_x
        to_y -= share * edge_y
        distance = to_x * to_x
        distance += to_y * to_y
        nearer = distance < nearest
        for best, new in ((nearest, distance), (vector_x, to_x), (vector_y, to_y)):
            np.copyto(best, new, where=nearer)
    return vector_x, vector_y
