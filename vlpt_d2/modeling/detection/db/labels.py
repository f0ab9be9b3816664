"""Target maps of DB, drawn from polygons (DB paper section 3.4; MhLiao/DB data/processes).

The distances to a text's border give both the shrunk text and the threshold ramp around the
border: the pixels farther than D inside the border are exactly the polygon offset inward by D.
"""

import cv2
import numpy as np

from ....structures import TextInstances
from ..raster import pixels_inside, signed_distance


def draw_db_labels(
    texts: TextInstances,
    image_size: tuple[int, int],
    *,
    shrink_ratio: float = 0.4,
    threshold_range: tuple[float, float] = (0.3, 0.7),
    min_text_size: float = 8.0,
) -> dict[str, np.ndarray]:
    """Draw the maps DB is trained on.

    With area A and perimeter L of a text and D = A (1 - r^2) / L: "text" is the polygon shrunk by
    D; "threshold" ramps from the upper value on the border to the lower one D away from it, inside
    and outside. Ignored texts, texts with a bounding box side below ``min_text_size``, with an
    area below 1 or whose shrunk polygon holds no pixel are taken out of "text_mask" and draw
    nothing.

    Args:
        texts: in pixels; pixel (row i, column j) covers [j, j + 1] x [i, i + 1]. Parts outside the
            image are not drawn.
        image_size: (H, W).
        shrink_ratio: r in (0, 1).
        threshold_range: lower and upper value of the threshold map.
        min_text_size: in pixels.

    Returns:
        (H, W) maps: "text" uint8 in {0, 1}; "text_mask" uint8, 0 where ignored; "threshold"
        float32 in ``threshold_range``; "threshold_mask" uint8, 1 within D of a text or inside it.
    """
    text = np.zeros(image_size, np.uint8)
    text_mask = np.ones(image_size, np.uint8)
    threshold_mask = np.zeros(image_size, np.uint8)
    # Distance to the nearest border, in units of the text's D.
    nearness = np.full(image_size, np.inf, np.float32)

    for polygon, skip in zip(texts.polygons, texts.ignore):
        polygon = np.asarray(polygon, np.float32)
        if len(polygon) < 3:
            continue
        area = float(cv2.contourArea(polygon))
        distance = area * (1 - shrink_ratio**2) / max(cv2.arcLength(polygon, True), 1e-6)
        side = float(np.ptp(polygon, axis=0).min())
        skip = bool(skip) or side < min_text_size or area < 1.0
        if not skip:
            window, depth = signed_distance(polygon, distance, image_size, reach=distance)
            shrunk = depth > distance
            skip = not shrunk.any()
        if skip:
            window, inside = pixels_inside(polygon, image_size)
            text_mask[window][inside] = 0
            continue
        text[window] |= shrunk.view(np.uint8)
        threshold_mask[window] |= (depth >= -distance).view(np.uint8)
        depth *= 1.0 / distance
        np.abs(depth, out=depth)
        np.minimum(nearness[window], depth, out=nearness[window])

    low, high = threshold_range
    nearness *= low - high
    nearness += high
    return {
        "text": text,
        "text_mask": text_mask,
        "threshold": np.maximum(nearness, low, out=nearness),
        "threshold_mask": threshold_mask,
    }
