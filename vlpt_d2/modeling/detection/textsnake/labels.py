"""Target maps of TextSnake, drawn from polygons (TextSnake paper section 3.4)."""

import cv2
import numpy as np

from ....structures import TextInstances
from ..raster import pixels_inside
from ..text_axis import TextSides, inner_axis, pixels_along
from .decode import END_SHRINK, STRIDE

# Half the width of a centre line in radii (princewang1994/TextSnake.pytorch and mmocr; paper: 0.2),
# and in pixels at least, so that the pixels of a thin text stay connected.
CENTRE_WIDTH, LEAST_WIDTH = 0.3, 0.75


def draw_snake_labels(texts: TextInstances, image_size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Draw the maps TextSnake is trained on.

    The axis of a text (see :class:`~..text_axis.TextSides`) without its ends, widened to 0.3 of the
    radius on either side, is the centre line. Its pixels have radius and direction of the pair of
    points on the sides that is nearest; pairs are half a radius apart. Where centre lines overlap,
    a pixel belongs to the smaller text. Ignored texts, and texts whose centre line holds no pixel,
    are taken out of "text_mask" and draw nothing.

    Returns:
        (H, W) uint8 maps in {0, 1}: "text", "centre", and "text_mask", 0 where ignored; "geometry"
        float16 (3, H, W), in the centre lines radius in pixels, cos and sin of the direction, else
        0.
    """
    shape = -(-image_size[0] // STRIDE), -(-image_size[1] // STRIDE)
    text, centre = np.zeros((2, *shape), np.uint8)
    text_mask = np.ones(shape, np.uint8)
    # Pixels first: writing three numbers side by side is faster than into three planes.
    geometry = np.zeros((*shape, 3), np.float16)
    rings = [np.asarray(polygon, np.float32) / STRIDE for polygon in texts.polygons]
    areas = [cv2.contourArea(ring) if len(ring) >= 3 else 0.0 for ring in rings]
    # Large ones first, so that small ones are drawn over them.
    for i in sorted(range(len(rings)), key=lambda i: -areas[i]):
        if len(rings[i]) < 3:
            continue
        window, inside = pixels_inside(rings[i], shape)
        drawn = None if texts.ignore[i] else _centre_line(rings[i], shape)
        if drawn is None:
            text_mask[window][inside] = 0
            continue
        text[window] |= inside.view(np.uint8)
        rows, columns, values = drawn
        centre[rows, columns] = 1
        geometry[rows, columns] = values
    return {
        "text": text,
        "text_mask": text_mask,
        "centre": centre,
        "geometry": np.ascontiguousarray(geometry.transpose(2, 0, 1)),
    }


def _centre_line(
    ring: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Rows, columns and geometry of a text's centre line; None where it has no pixel.

    Args:
        ring: in pixels of the maps.
        shape: (h, w) of the maps.
    """
    axis, _ = inner_axis(TextSides(ring), END_SHRINK)
    rows, columns, nearest = pixels_along(axis, shape, CENTRE_WIDTH, LEAST_WIDTH)
    if not len(rows):
        return None
    values = np.column_stack([axis.radius * STRIDE, axis.direction])[nearest]
    return rows, columns, values
