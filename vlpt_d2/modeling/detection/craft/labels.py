"""Target maps of CRAFT, drawn from characters (CRAFT paper section 3.2.1; EasyOCR trainer)."""

import math

import numpy as np

from ....structures import TextInstances
from ..raster import pixels_inside
from ..rectangles import VERTICAL, rectangle_corners, text_rectangles
from .decode import SIGMA, STRIDE

# Gaussians end at this many halves of a character's sides (EasyOCR trainer).
_REACH = 1.5
# Weight of words whose characters are only known to be so many (paper, section 3.2.2).
GUESSED = 0.5


def draw_craft_labels(texts: TextInstances, image_size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Draw the maps CRAFT is trained on, one pixel for 2 x 2.

    "region" has a Gaussian in every character's box, and "affinity" one between every two
    neighbours of a word: from the middles of the upper and the lower triangles, which the
    diagonals cut from the two boxes. Boxes are taken for parallelograms. Where they meet, the
    higher value counts.

    A word without characters is split evenly, in as many as it has letters, or into squares if it
    has no transcription. Its pixels weigh GUESSED, those of other words the confidence of their
    characters, those of ignored texts nothing, and all others 1.

    Returns:
        float32 maps of (ceil(H / 2), ceil(W / 2)): "region" and "affinity" in [0, 1], and "weight".
    """
    shape = -(-image_size[0] // STRIDE), -(-image_size[1] // STRIDE)
    region, affinity = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    weight = np.ones(shape, np.float32)
    texts = texts[np.array([len(polygon) >= 3 for polygon in texts.polygons], bool)]
    ignored = []
    for i, polygon in enumerate(texts.polygons):
        window, inside = pixels_inside(polygon / STRIDE, shape)
        if texts.ignore[i]:
            ignored.append((window, inside))
            continue
        quads, confidence = texts.characters[i], float(texts.confidence[i])
        if not len(quads):
            letters = len("".join(texts.words[i].split()))
            quads, confidence = split_evenly(polygon, letters), GUESSED
        weight[window][inside] = confidence
        boxes = _parallelograms(quads / STRIDE)
        _draw(region, boxes)
        _draw(affinity, _between(boxes))
    for window, inside in ignored:
        weight[window][inside] = 0
    return {"region": region, "affinity": affinity, "weight": weight}


def split_evenly(polygon: np.ndarray, letters: int) -> np.ndarray:
    """Split a word along its direction into boxes of one width, (n, 4, 2).

    A quadrilateral is split along its first side, or the other way if it is a vertical line;
    another polygon along its rectangle.

    Args:
        polygon: (N, 2).
        letters: how many boxes; 0: about as wide as high.
    """
    quad = np.asarray(polygon, np.float64)
    if len(quad) != 4:
        quad = rectangle_corners(*text_rectangles([quad]))[0]
    sides = np.linalg.norm(quad - np.roll(quad, -1, axis=0), axis=1)
    width, height = 0.5 * (sides[0] + sides[2]), 0.5 * (sides[1] + sides[3])
    if height > VERTICAL * width and letters != 1:
        quad, width, height = np.roll(quad, -1, axis=0), height, width
    number = letters or max(1, round(width / max(height, 1e-6)))
    shares = np.linspace(0, 1, number + 1)[:, None]
    top = quad[0] + shares * (quad[1] - quad[0])
    bottom = quad[3] + shares * (quad[2] - quad[3])
    return np.stack([top[:-1], top[1:], bottom[1:], bottom[:-1]], axis=1)


def _parallelograms(quads: np.ndarray) -> np.ndarray:
    """Centres and halves of the mean sides to the right and down of quadrilaterals, (N, 3, 2)."""
    a, b, c, d = quads.transpose(1, 0, 2)
    return np.stack([0.25 * (a + b + c + d), 0.25 * (b - a + c - d), 0.25 * (d - a + c - b)], 1)


def _between(boxes: np.ndarray) -> np.ndarray:
    """The affinity boxes of characters in a row, (N - 1, 3, 2)."""
    first, second = boxes[:-1], boxes[1:]
    along = 0.5 * (second[:, 0] - first[:, 0])
    # The side across the row; of characters one below the other that is the one to the right.
    length = np.maximum(np.linalg.norm(first[:, 1:], axis=2), 1e-9)
    cosines = np.abs((first[:, 1:] * along[:, None]).sum(axis=2)) / length
    side = np.where(cosines[:, 0] >= cosines[:, 1], 2, 1)
    rows = np.arange(len(first))
    here, there = first[rows, side], second[rows, side]
    there = np.where((here * there).sum(axis=1, keepdims=True) < 0, -there, there)
    # A triangle's middle is two thirds of the way from the box's middle to its side.
    return np.stack([0.5 * (first[:, 0] + second[:, 0]), along, (here + there) / 3], axis=1)


def _draw(image: np.ndarray, boxes: np.ndarray) -> None:
    """Draw the Gaussians of parallelograms into a map; the higher value stays."""
    height, width = image.shape
    # The largest x and y of an ellipse that touches the middles of the sides.
    reach = _REACH * np.hypot(boxes[:, 1], boxes[:, 2])
    low = np.clip(np.floor(boxes[:, 0] - reach), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(boxes[:, 0] + reach), 0, (width, height)).astype(int)
    for ((x, y), (ex, ey), (fx, fy)), (x0, y0), (x1, y1) in zip(
        boxes.tolist(), low.tolist(), high.tolist()
    ):
        area = ex * fy - ey * fx
        if abs(area) < 1e-6 * (math.hypot(ex, ey) + math.hypot(fx, fy)) or x0 >= x1 or y0 >= y1:
            continue
        columns = np.arange(x0, x1, dtype=np.float32) + np.float32(0.5 - x)
        rows = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(0.5 - y)
        u = (fy / area) * columns - (fx / area) * rows
        v = (ex / area) * rows - (ey / area) * columns
        squared = u * u + v * v
        values = np.exp((-0.5 / SIGMA**2) * squared)
        values[squared > _REACH**2] = 0
        window = image[y0:y1, x0:x1]
        np.maximum(window, values, out=window)
