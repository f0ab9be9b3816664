"""Target maps of TextDragon, drawn from polygons."""

import cv2
import numpy as np

from ....structures import TextInstances
from ..raster import pixels_inside
from ..text_axis import TextSides, inner_axis, pixels_along
from .decode import STRIDE
from .reading import has_room, letters_of, strip_of

# Each end of a centre line is as far from the text's as this share of the radius there, so that
# words that touch end to end have lines of their own.
END_SHRINK = 0.5
# Half the width of a centre line in radii, and in cells at least, so that those of a thin text stay
# connected.
CENTRE_WIDTH, LEAST_WIDTH = 0.3, 0.75
# Left and right distances end here, in radii: a box is local.
REACH = 2.0


def draw_dragon_labels(
    texts: TextInstances, image_size: tuple[int, int], *, read: bool = False
) -> dict[str, np.ndarray | list[np.ndarray]]:
    """Draw the maps TextDragon is trained on, one cell for 4 x 4 pixels.

    Cells with the centre on the centre line of a text, as TextSnake's is drawn but with the axis in
    the direction of reading (see :class:`~..text_axis.TextSides`), hold a local box: the direction
    of the axis at the nearest pair of points on the sides, and the distances from the cell's centre
    to the top and the bottom side there, and along the axis to the text's ends, up to two radii.
    Where centre lines overlap, a cell belongs to the smaller text. Ignored texts, and texts whose
    centre line holds no cell, are taken out of "text_mask" and draw nothing.

    Args:
        texts, image_size: see :meth:`~..text_head.TextHead.build_labels`.
        read: also return what is to be read.

    Returns:
        Maps of (ceil(H / 4), ceil(W / 4)): "text" uint8, 1 on centre lines; "text_mask" uint8, 0
        where ignored; "geometry" float16 (6, ...): distances to the top, right, bottom and left in
        pixels, cos and sin of the direction, else 0. With ``read`` also lists of the texts that
        have cells, lie within the image, and have a legible word of characters in the alphabet:
        "strips" float32 (2, columns, 2), points on top and bottom in pixels, and "words" int64
        (L,).
    """
    shape = -(-image_size[0] // STRIDE), -(-image_size[1] // STRIDE)
    text = np.zeros(shape, np.uint8)
    text_mask = np.ones(shape, np.uint8)
    # Cells first: writing six numbers side by side is faster than into six planes.
    geometry = np.zeros((*shape, 6), np.float16)
    strips: list[np.ndarray] = []
    words: list[np.ndarray] = []
    rings = [np.asarray(polygon, np.float32) / STRIDE for polygon in texts.polygons]
    areas = [cv2.contourArea(ring) if len(ring) >= 3 else 0.0 for ring in rings]
    # Large ones first, so that small ones are drawn over them.
    for i in sorted(range(len(rings)), key=lambda i: -areas[i]):
        if len(rings[i]) < 3:
            continue
        boxes = np.zeros((0, 6))
        if not texts.ignore[i]:
            sides = TextSides(rings[i], reading_order=True)
            rows, columns, boxes = _local_boxes(sides, shape)
        if not len(boxes):
            window, inside = pixels_inside(rings[i], shape)
            text_mask[window][inside] = 0
            continue
        text[rows, columns] = 1
        geometry[rows, columns] = boxes
        within = (rings[i] > 0).all() and (rings[i] * STRIDE < image_size[::-1]).all()
        letters = letters_of(texts.words[i].strip()) if read and within else None
        if letters is not None:
            strip = STRIDE * strip_of(sides)
            if has_room(letters, strip.shape[1]):
                strips.append(strip)
                words.append(letters)
    maps: dict[str, np.ndarray | list[np.ndarray]] = {
        "text": text,
        "text_mask": text_mask,
        "geometry": np.ascontiguousarray(geometry.transpose(2, 0, 1)),
    }
    return maps | {"strips": strips, "words": words} if read else maps


def _local_boxes(
    sides: TextSides, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and columns of a text's cells, and their boxes (N, 6) in pixels of the image.

    Args:
        sides: in cells.
        shape: (h, w) of the maps.
    """
    axis, (head, tail) = inner_axis(sides, END_SHRINK)
    rows, columns, nearest = pixels_along(axis, shape, CENTRE_WIDTH, LEAST_WIDTH)
    to_cell = np.stack([columns + 0.5, rows + 0.5], axis=1)
    along = axis.direction[nearest]
    down = along[:, ::-1] * (-1.0, 1.0)
    ways = [((side[nearest] - to_cell) * down).sum(axis=1) for side in (axis.first, axis.second)]
    # Of a mirrored text the first side lies below.
    above, below = np.minimum(*ways), np.maximum(*ways)
    steps = np.linalg.norm(np.diff(axis.centre, axis=0), axis=1)
    position = np.concatenate([[0.0], np.cumsum(steps)])[nearest]
    position += ((to_cell - axis.centre[nearest]) * along).sum(axis=1)
    reach = REACH * axis.radius[nearest]
    left = np.clip(head + position, 0.0, reach)
    right = np.clip(tail + steps.sum() - position, 0.0, reach)
    distances = np.stack([np.maximum(-above, 0), right, np.maximum(below, 0), left], axis=1)
    return rows, columns, np.concatenate([STRIDE * distances, along], axis=1)
