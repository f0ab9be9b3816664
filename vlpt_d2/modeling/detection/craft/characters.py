"""Characters of words, where a trained CRAFT sees them (CRAFT paper, section 3.2.2)."""

import math
from collections.abc import Callable

import cv2
import numpy as np
from scipy import ndimage

from ....structures import TextInstances
from ..text_axis import TextSides
from .decode import SIGMA, STRIDE
from .labels import GUESSED

# Short side of a word's crop in pixels (EasyOCR trainer), and the most short sides it is long.
SHORT_SIDE, _LONGEST = 128, 32
# A character has a region score above this value (EasyOCR trainer).
_SURE = 0.75
# Region score at the border of a character's box, as the labels draw it, as a share of its peak.
_BORDER = math.exp(-0.5 / SIGMA**2)


def find_characters(
    image: np.ndarray, texts: TextInstances, region_of: Callable[[np.ndarray], np.ndarray]
) -> TextInstances:
    """Find the characters of words.

    Each word is cut out along its axis, and the region scores in it are divided into characters.
    How many there should be says how sure they are. A word of more than ``GUESSED`` confidence gets
    them; the labels split the others evenly.

    Args:
        image: (H, W, 3) uint8.
        texts: in its pixels. Ignored ones, those without a word, of several polygons, or with
            characters stay as they are.
        region_of: from a crop (h, w, 3) to its region scores, (h / 2, w / 2) in [0, 1], rounded up.

    Returns:
        The same texts, with the characters and their confidence.
    """
    characters, confidence = list(texts.characters), texts.confidence.copy()
    parts = np.bincount(texts.annotation)
    for i, (polygon, word) in enumerate(zip(texts.polygons, texts.words)):
        letters = len("".join(word.split()))
        known = texts.ignore[i] or not letters or len(characters[i])
        if known or len(polygon) < 3 or parts[texts.annotation[i]] > 1:
            continue
        sides = TextSides(polygon, reading_order=True)
        crop = crop_word(image, sides)
        boxes = character_boxes(region_of(crop))
        sure = (letters - min(letters, abs(letters - len(boxes)))) / letters
        if sure > GUESSED:
            boxes = boxes * STRIDE / np.tile(crop.shape[1::-1], 2)
            characters[i], confidence[i] = _in_image(boxes, sides), sure
    return TextInstances(
        texts.polygons, texts.ignore, texts.words, characters, texts.annotation, confidence
    )


def crop_word(image: np.ndarray, sides: TextSides) -> np.ndarray:
    """Cut a word out along its axis: as long and as high as it is, with a short side of 128."""
    axis = sides.pairs(np.linspace(0, 1, 9))
    size = np.maximum((2 * axis.radius.mean(), axis.length), 1.0)
    least = size.min()
    rows, columns = np.rint(SHORT_SIDE * np.minimum(size / least, _LONGEST)).astype(int).tolist()
    # Of a large word several pixels are averaged.
    finer = max(1, round(least / SHORT_SIDE))
    axis = sides.pairs((np.arange(finer * columns) + 0.5) / (finer * columns))
    down = ((np.arange(finer * rows) + 0.5) / (finer * rows))[:, None, None]
    places = (axis.first + down * (axis.second - axis.first) - 0.5).astype(np.float32)
    crop = cv2.remap(  # type: ignore[call-overload]
        image, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return cv2.resize(crop, (columns, rows), interpolation=cv2.INTER_AREA)


def character_boxes(region: np.ndarray) -> np.ndarray:
    """Divide a word's region scores into characters, by a watershed.

    From every pixel the way leads uphill to a peak. Peaks above ``_SURE`` are characters, those
    without a lower pixel between them the same one. A character's box holds its pixels down to the
    share of the highest score that the labels have at the border of a box.

    Args:
        region: (h, w) in [0, 1].

    Returns:
        (C, 4): x0, y0, x1, y1 in pixels of the map, in the order of reading.
    """
    height, width = region.shape
    around = np.pad(region, 1, constant_values=-1.0)
    steps = [(y, x) for y in range(3) for x in range(3)]
    values = np.stack([around[y : y + height, x : x + width] for y, x in steps])
    shifts = np.array([(y - 1) * width + x - 1 for y, x in steps])
    peak = np.arange(region.size) + shifts[values.argmax(axis=0).ravel()]
    # Of level pixels the first is the highest, so that every way ends. Twice as far every time.
    while not np.array_equal(further := peak[peak], peak):
        peak = further
    count, numbers = cv2.connectedComponents((region > _SURE).astype(np.uint8), connectivity=8)
    sure = np.asarray(numbers, np.int32)
    owners = sure.ravel()[peak].reshape(region.shape)
    highest = np.zeros(count)
    np.maximum.at(highest, sure, region)
    inside = (owners > 0) & (region >= _BORDER * highest[owners])
    windows = ndimage.find_objects(np.where(inside, owners, 0))
    boxes = np.array([(x.start, y.start, x.stop, y.stop) for y, x in windows], float)
    boxes = boxes.reshape(-1, 4)
    middles = boxes[:, :2] + boxes[:, 2:]
    # Of letters that stand on one another the upper one comes first.
    down = len(boxes) > 0 and np.ptp(middles[:, 1]) > np.ptp(middles[:, 0])
    return boxes[np.argsort(middles[:, int(down)], kind="stable")]


def _in_image(boxes: np.ndarray, sides: TextSides) -> np.ndarray:
    """Corners (C, 4, 2) in the image of boxes (C, 4), given as shares of the crop's sides."""
    x0, y0, x1, y1 = np.clip(boxes, 0, 1).T
    axis = sides.pairs(np.concatenate([x0, x1, x1, x0]))
    down = np.concatenate([y0, y0, y1, y1])[:, None]
    corners = axis.first + down * (axis.second - axis.first)
    return corners.reshape(4, -1, 2).transpose(1, 0, 2)
