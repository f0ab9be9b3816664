"""Target maps of SAE, drawn from polygons (Tian et al., CVPR 2019, section 3.4)."""

import cv2
import numpy as np
from scipy import ndimage

from ....structures import TextInstances
from ..raster import pixels_inside, signed_distance
from .decode import STRIDE

# The centre of a text is the polygon shrunk by area * (1 - SHRINK_RATIO^2) / perimeter (the paper's
# ratio; that it is meant so is a guess).
SHRINK_RATIO = 0.7


def draw_sae_labels(
    texts: TextInstances, image_size: tuple[int, int]
) -> dict[str, np.ndarray | list[np.ndarray]]:
    """Draw the maps SAE is trained on, one cell for 2 x 2 pixels.

    A cell is text if its centre lies inside a polygon. A text whose shrunk polygon holds no cell's
    centre is all centre. Where texts overlap, a cell belongs to the one with the smaller area.
    Ignored texts are taken out of "text_mask", also where other texts lie over them.

    Returns:
        Maps of (ceil(H / 2), ceil(W / 2)): "text" int16, the number of the cell's text from 1, else
        0; "centre" uint8 in {0, 1}; "text_mask" uint8, 0 where ignored. And "boxes", a list with
        one array (K, 4) float32: x0, y0, x1, y1 around the cells of each text that is learnt, in
        cells by number; 0 of numbers without any.
    """
    shape = -(-image_size[0] // STRIDE), -(-image_size[1] // STRIDE)
    text = np.zeros(shape, np.int16)
    centre, mask = np.zeros(shape, np.uint8), np.ones(shape, np.uint8)
    rings = [np.asarray(polygon, np.float32) / STRIDE for polygon in texts.polygons]
    # Large ones first, so that small ones are drawn over them.
    areas = [cv2.contourArea(ring) if len(ring) >= 3 else 0.0 for ring in rings]
    for i in np.argsort(np.negative(areas), kind="stable").tolist():
        if len(rings[i]) < 3:
            continue
        if texts.ignore[i]:
            window, inside = pixels_inside(rings[i], shape)
            mask[window][inside] = 0
            continue
        offset = areas[i] * (1 - SHRINK_RATIO**2) / max(cv2.arcLength(rings[i], True), 1e-6)
        window, depth = signed_distance(rings[i], 0.0, shape, reach=offset)
        inside, shrunk = depth > 0, depth > offset
        text[window][inside] = i + 1
        centre[window][inside] = (shrunk if shrunk.any() else inside)[inside]
    found = ndimage.find_objects(text * mask, len(rings))
    boxes = np.zeros((len(rings), 4), np.float32)
    for box, window in zip(boxes, found):
        if window is not None:
            y, x = window
            box[:] = x.start, y.start, x.stop, y.stop
    return {"text": text, "centre": centre, "text_mask": mask, "boxes": [boxes]}
