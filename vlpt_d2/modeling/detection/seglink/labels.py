"""Target maps of SegLink, drawn from polygons (SegLink paper section 3.2; bgshih/seglink)."""

import math

import numpy as np

from ....structures import TextInstances
from ..raster import pixels_inside
from ..rectangles import text_rectangles
from .decode import BOX_SIDE, GEOMETRY, STRIDES

# A word fits a default box if neither is more than this many times as high as the other.
MAX_RATIO = 1.5


def draw_seglink_labels(texts: TextInstances, image_size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Draw the maps SegLink is trained on, of every level of STRIDES.

    A cell belongs to a text if its centre lies in the text's rectangle and the heights of the
    rectangle and of the cell's default box are within a factor of MAX_RATIO; to the closest in
    height if there are several. A text without such a cell gets the one under its middle, on the
    level that fits best, if that is free. The segment of a cell is the part of the rectangle, cut
    across its direction, that the default box spans along it (paper, figure 5).

    Ignored texts, and texts too high or too low for all levels, draw nothing: cells with the centre
    in their polygon are taken out of the masks.

    Returns:
        Maps of (ceil(H / s), ceil(W / s)) for each stride s: "text_<s>" int32, the number of the
        text from 1, else 0; "text_mask_<s>" uint8, 0 where ignored; "geometry_<s>" float32
        (6, ...), in cells of texts the segment: its centre from the cell's, its width and its
        height as logarithms, all in sides of the default box, and the cosine and sine of twice its
        angle; else 0.
    """
    levels = [_Level(stride, image_size) for stride in STRIDES]
    texts = texts[np.array([len(polygon) >= 3 for polygon in texts.polygons], bool)]
    rings = [np.asarray(polygon, np.float64) for polygon in texts.polygons]
    words = text_rectangles(rings)
    # Of each text and level, how far their heights are apart, (N, levels).
    sides = BOX_SIDE * np.array(STRIDES)
    ratios = np.maximum(words[1][:, 1:], 1e-6) / sides
    ratios = np.maximum(ratios, 1 / ratios)
    fits = ratios <= MAX_RATIO
    skip = texts.ignore | ~fits.any(axis=1)
    unseen = []
    for i in np.flatnonzero(~skip).tolist():
        word = tuple(part[i] for part in words)
        drawn = [levels[k].draw(i, word, ratios[i, k]) for k in np.flatnonzero(fits[i])]
        if not any(drawn):
            unseen.append((i, word))
    for i, word in unseen:
        levels[int(ratios[i].argmin())].draw_middle(i, word)
    for i in np.flatnonzero(skip).tolist():
        for level in levels:
            window, inside = pixels_inside(rings[i] / level.stride, level.text.shape)
            level.mask[window][inside] = 0
    maps: dict[str, np.ndarray] = {}
    for level in levels:
        maps[f"text_{level.stride}"] = level.text
        maps[f"text_mask_{level.stride}"] = level.mask
        geometry = np.ascontiguousarray(level.geometry.transpose(2, 0, 1))
        maps[f"geometry_{level.stride}"] = geometry
    return maps


class _Level:
    """The maps of one level."""

    def __init__(self, stride: int, image_size: tuple[int, int]):
        self.stride, self.side = stride, BOX_SIDE * stride
        shape = -(-image_size[0] // stride), -(-image_size[1] // stride)
        self.text = np.zeros(shape, np.int32)
        self.mask = np.ones(shape, np.uint8)
        # Cells first: writing six numbers side by side is faster than into six planes.
        self.geometry = np.zeros((*shape, GEOMETRY), np.float32)
        self.ratio = np.full(shape, np.inf)

    def draw(self, number: int, word: tuple, ratio: float) -> bool:
        """Draw a text's segments; return whether there is any."""
        centre, size, angle = word
        cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
        reach = 0.5 * np.array([cos * size[0] + sin * size[1], sin * size[0] + cos * size[1]])
        limits = self.text.shape[::-1]
        low = np.clip(np.floor((centre - reach) / self.stride), 0, limits).astype(int)
        high = np.clip(np.ceil((centre + reach) / self.stride), 0, limits).astype(int)
        window = slice(low[1], high[1]), slice(low[0], high[0])
        rows, columns = np.mgrid[window]
        along, across = self._middle_of(word, rows, columns)
        inside = (abs(along) <= 0.5 * size[0]) & (abs(across) <= 0.5 * size[1])
        inside &= ratio < self.ratio[window]
        rows, columns = rows[inside], columns[inside]
        # The part of the text that the default box spans.
        start = np.maximum(along[inside] - 0.5 * size[0], -0.5 * self.side)
        end = np.minimum(along[inside] + 0.5 * size[0], 0.5 * self.side)
        self._write(number, word, rows, columns, start, end, across[inside])
        self.ratio[rows, columns] = ratio
        return len(rows) > 0

    def draw_middle(self, number: int, word: tuple) -> None:
        """Draw the whole text as one segment of the cell under its middle."""
        column, row = np.floor(word[0] / self.stride).astype(int)
        within = 0 <= row < self.text.shape[0] and 0 <= column < self.text.shape[1]
        if within and not self.text[row, column]:
            rows, columns = np.array([row]), np.array([column])
            along, across = self._middle_of(word, rows, columns)
            half = 0.5 * word[1][0]
            self._write(number, word, rows, columns, along - half, along + half, across)

    def _middle_of(
        self, word: tuple, rows: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The text's middle seen from cells, along and across its direction."""
        (x, y), _, angle = word
        dx, dy = x - (columns + 0.5) * self.stride, y - (rows + 0.5) * self.stride
        cos, sin = math.cos(angle), math.sin(angle)
        return cos * dx + sin * dy, cos * dy - sin * dx

    def _write(
        self,
        number: int,
        word: tuple,
        rows: np.ndarray,
        columns: np.ndarray,
        start: np.ndarray,
        end: np.ndarray,
        across: np.ndarray,
    ) -> None:
        _, size, angle = word
        cos, sin = math.cos(angle), math.sin(angle)
        along = 0.5 * (start + end)
        self.text[rows, columns] = number + 1
        cells = self.geometry[rows, columns]
        cells[:, 0] = (cos * along - sin * across) / self.side
        cells[:, 1] = (sin * along + cos * across) / self.side
        cells[:, 2] = np.log(np.maximum(end - start, 1e-3) / self.side)
        cells[:, 3] = math.log(size[1] / self.side)
        cells[:, 4:] = math.cos(2 * angle), math.sin(2 * angle)
        self.geometry[rows, columns] = cells
