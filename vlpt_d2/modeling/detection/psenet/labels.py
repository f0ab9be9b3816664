"""Target maps of PSENet, drawn from polygons (paper section 3.4; whai362/PSENet dataset)."""

import cv2
import numpy as np

from ....structures import TextInstances
from ..raster import pixels_inside, signed_distance


def kernel_scales(count: int, min_scale: float) -> np.ndarray:
    """Scales r_i = 1 - (1 - m) i / (n - 1) of kernels 0 (the text, 1) to n - 1 (m).

    Raises:
        ValueError: fewer than two kernels, or a scale m outside (0, 1].
    """
    if count < 2:
        raise ValueError(f"MODEL.PSENET.KERNELS is at least 2 (text and kernel), not {count}")
    if not 0 < min_scale <= 1:
        raise ValueError(f"MODEL.PSENET.MIN_SCALE is in (0, 1], not {min_scale}")
    return 1.0 - (1.0 - min_scale) * np.arange(count) / (count - 1)


def draw_psenet_labels(
    texts: TextInstances,
    image_size: tuple[int, int],
    *,
    kernels: int = 7,
    min_scale: float = 0.4,
    max_shrink: float = 20.0,
) -> dict[str, np.ndarray]:
    """Draw the maps PSENet is trained on.

    With area A and perimeter L of a text, kernel i is the polygon offset inward by
    d_i = min(A (1 - r_i^2) / L, max_shrink), as the pixels whose centre lies inside, farther than
    d_i from the border. A kernel without a pixel is the whole text instead. Ignored texts are taken
    out of "text_mask", also where other texts lie over them, and draw nothing.

    Args:
        texts, image_size: see :meth:`~..text_head.TextHead.build_labels`.
        kernels: their number n, the text itself included.
        min_scale: m, see :func:`kernel_scales`.
        max_shrink: in pixels.

    Returns:
        uint8 maps in {0, 1}: "text" (H, W); "kernels" (n - 1, H, W), the largest one first;
        "text_mask" (H, W), 0 where ignored.

    Raises:
        ValueError: see :func:`kernel_scales`.
    """
    shares = 1.0 - kernel_scales(kernels, min_scale)[1:] ** 2
    # How many kernels a pixel is in: smaller ones lie in larger ones.
    levels = np.zeros(image_size, np.uint8)
    smaller = np.zeros((kernels - 1, *image_size), np.uint8)
    text_mask = np.ones(image_size, np.uint8)

    for polygon, skip in zip(texts.polygons, texts.ignore):
        polygon = np.asarray(polygon, np.float32)
        if len(polygon) < 3:
            continue
        if skip:
            window, inside = pixels_inside(polygon, image_size)
            text_mask[window][inside] = 0
            continue
        area, perimeter = cv2.contourArea(polygon), cv2.arcLength(polygon, True)
        offsets = np.minimum(area * shares / max(perimeter, 1e-6), max_shrink)
        window, depth = signed_distance(polygon, 0.0, image_size, reach=float(offsets[-1]))
        inside = (depth > 0).view(np.uint8)
        level, deepest = inside.copy(), float(depth.max(initial=0.0))
        for kernel, offset in zip(smaller, offsets.astype(np.float32)):
            if deepest > offset:
                level += (depth > offset).view(np.uint8)
            else:
                kernel[window] |= inside
        np.maximum(levels[window], level, out=levels[window])
    for number, kernel in enumerate(smaller, 2):
        kernel |= (levels >= number).view(np.uint8)
    return {
        "text": (levels > 0).view(np.uint8),
        "kernels": smaller,
        "text_mask": text_mask,
    }
