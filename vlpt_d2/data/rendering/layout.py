"""Finding room: blocks go where nothing is yet, preferring calm parts of the background."""

import cv2
import numpy as np
from shapely import Polygon

__all__ = ["Layout"]

# Places tried for a block, and free ones among which the calmest is taken.
_TRIALS = 24
_CANDIDATES = 6
# Distance kept from the image's edge, pixels.
_MARGIN = 1.0
# The calmness of places is measured at this fraction of the size.
_REDUCTION = 4


class Layout:
    """The regions taken in one image."""

    def __init__(self, background: np.ndarray):
        """
        Args:
            background: (H, W, 3) uint8.
        """
        self.height, self.width = background.shape[:2]
        self._regions: list[Polygon] = []
        self._boxes = np.zeros((0, 4))
        small = cv2.resize(
            background,
            (max(self.width // _REDUCTION, 1), max(self.height // _REDUCTION, 1)),
            interpolation=cv2.INTER_AREA,
        )
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        edges = cv2.absdiff(grey, cv2.blur(grey, (5, 5)))
        self._edges = cv2.integral(edges)

    def place(self, outline: np.ndarray, rng: np.random.Generator) -> tuple[float, float] | None:
        """Find a translation that brings a region inside the image and clear of all others.

        The region found is taken from then on.

        Args:
            outline: (N, 2) simple polygon, anywhere.
            rng: source of randomness.

        Returns:
            (dx, dy), or None where no place was found.
        """
        low, high = outline.min(axis=0), outline.max(axis=0)
        room = np.array([self.width, self.height]) - (high - low) - 2 * _MARGIN
        if (room < 0).any():
            return None
        best, best_cost, found = None, np.inf, 0
        for share in rng.random((_TRIALS, 2)):
            shift = _MARGIN - low + share * room
            box = np.concatenate([low + shift, high + shift])
            if not self._is_free(outline + shift, box):
                continue
            cost = self._roughness(box)
            if cost < best_cost:
                best, best_cost = (shift, box), cost
            found += 1
            if found == _CANDIDATES:
                break
        if best is None:
            return None
        shift, box = best
        self._regions.append(Polygon(outline + shift))
        self._boxes = np.concatenate([self._boxes, box[None]])
        return float(shift[0]), float(shift[1])

    def _is_free(self, outline: np.ndarray, box: np.ndarray) -> bool:
        boxes = self._boxes
        near = (boxes[:, 0] < box[2]) & (box[0] < boxes[:, 2])
        near &= (boxes[:, 1] < box[3]) & (box[1] < boxes[:, 3])
        if not near.any():
            return True
        region = Polygon(outline)
        return not any(self._regions[row].intersects(region) for row in np.flatnonzero(near))

    def _roughness(self, box: np.ndarray) -> float:
        rows, columns = self._edges.shape
        x0, y0 = (int(v) // _REDUCTION for v in np.maximum(box[:2], 0))
        x1 = min(int(box[2]) // _REDUCTION + 1, columns - 1)
        y1 = min(int(box[3]) // _REDUCTION + 1, rows - 1)
        x0, y0 = min(x0, x1 - 1), min(y0, y1 - 1)
        table = self._edges
        total = int(table[y1, x1]) - int(table[y0, x1]) - int(table[y1, x0]) + int(table[y0, x0])
        return total / ((x1 - x0) * (y1 - y0))
