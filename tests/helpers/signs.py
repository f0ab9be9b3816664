"""Photographs of nothing but words, and the words' places."""

from collections.abc import Sequence

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

#: Test sizes small enough to be quick; words of :func:`sign` are found at them.
SMALL = ("INPUT.DETECTION.TEST_SIZE", "(160, 160)", "NUM_THREADS", "1")


def sign(
    words: Sequence[str] = ("COFFEE", "open"), size: tuple[int, int] = (160, 224)
) -> tuple[Image.Image, list[np.ndarray]]:
    """Draw dark words on a bright, slightly uneven ground, one below the other.

    Args:
        words: to draw.
        size: (H, W).

    Returns:
        The RGB image, and of each word the box (x0, y0, x1, y1) around its ink.
    """
    ground = np.linspace(190, 235, size[0] * size[1]).reshape(*size, 1).repeat(3, axis=2)
    image = Image.fromarray(ground.astype(np.uint8))
    pen = ImageDraw.Draw(image)
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 30)
    boxes = []
    for row, word in enumerate(words):
        corner = (28 + 20 * row, 30 + 60 * row)
        pen.text(corner, word, fill=(40, 30, 90), font=font)
        boxes.append(np.array(pen.textbbox(corner, word, font=font)))
    return image, boxes


def overlap(polygon: np.ndarray, box: np.ndarray) -> float:
    """IoU of a polygon's bounding box with a box (x0, y0, x1, y1)."""
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    shared = np.clip(np.minimum(high, box[2:]) - np.maximum(low, box[:2]), 0, None).prod()
    return shared / ((high - low).prod() + (box[2:] - box[:2]).prod() - shared)
