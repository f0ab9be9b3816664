"""Target maps of DB, drawn from polygons (DB paper section 3.4; MhLiao/DB data/processes).

The distances to a text's border give both the shrunk text and the threshold ramp around the
border: the pixels farther than D inside the border are exactly the polygon offset inward by D.
"""

import cv2
import numpy as np

from ....structures import TextInstances
from ..borders import Borders


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
        texts, image_size: see :meth:`~..text_head.TextHead.build_labels`.
        shrink_ratio: r in (0, 1).
        threshold_range: lower and upper value of the threshold map.
        min_text_size: in pixels.

    Returns:
        (H, W) maps: "text" uint8 in {0, 1}; "text_mask" uint8, 0 where ignored; "threshold"
        float32 in ``threshold_range``; "threshold_mask" uint8, 1 within D of a text or inside it.
    """
    polygons, ignore = texts.polygons, texts.ignore
    kept = [i for i, polygon in enumerate(polygons) if len(polygon) >= 3]
    rings = [np.asarray(polygons[i], np.float32) for i in kept]
    areas = np.array([cv2.contourArea(ring) for ring in rings])
    lengths = np.array([cv2.arcLength(ring, True) for ring in rings])
    distances = areas * (1 - shrink_ratio**2) / np.maximum(lengths, 1e-6)
    borders = Borders(rings, distances, image_size)
    skip = np.asarray(ignore, bool)[kept] | (areas < 1.0)
    skip |= borders.sides.min(axis=1) < min_text_size

    # 1 within D of a border, more in a shrunk text.
    levels = np.zeros(image_size, np.uint8)
    text_mask = np.ones(image_size, np.uint8)
    # Distance to the nearest border, in units of the text's D.
    nearness = np.full(image_size, np.inf, np.float32)
    for i, (window, distance) in enumerate(zip(borders.windows, distances.tolist())):
        inside = borders.inside(i)
        if not skip[i]:
            depth = borders.distance(i)
            near = depth <= distance
            shrunk = inside > near
            skip[i] = not shrunk.any()
        if skip[i]:
            text_mask[window][inside] = 0
            continue
        near |= inside
        level = np.add(near.view(np.uint8), shrunk.view(np.uint8))
        drawn, nearest = levels[window], nearness[window]
        cv2.max(drawn, level, drawn)
        depth *= 1.0 / distance
        cv2.min(nearest, depth, nearest)

    low, high = threshold_range
    nearness *= low - high
    nearness += high
    return {
        "text": (levels > 1).view(np.uint8),
        "text_mask": text_mask,
        "threshold": np.maximum(nearness, low, out=nearness),
        "threshold_mask": (levels > 0).view(np.uint8),
    }
