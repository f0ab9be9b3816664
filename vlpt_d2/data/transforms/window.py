"""Crops of a fixed size that keep the scale of the image."""

import numpy as np
from detectron2.data.transforms import Augmentation

from ...structures import TextInstances
from .augmentation import AffineTransform


class RandomTextWindow(Augmentation):
    """Cut a window of a fixed size out of the image, padded where the image is smaller.

    With a probability the window is drawn among those that hold a text to be learnt; else anywhere
    (whai362/PSENet dataset/psenet; there such a window may still miss every text). Texts on the
    window's border are cut, or, at will, windows are drawn again until none is (SakuraRiven/EAST
    dataset.py).
    """

    def __init__(
        self,
        size: tuple[int, int],
        text_prob: float = 0.625,
        cuts_text: bool = True,
        max_tries: int = 1000,
    ):
        """Build the augmentation.

        Args:
            size: (H, W) of the result.
            text_prob: how often the window must hold a text: whole if it is no larger than the
                window, else the window lies within its bounding box.
            cuts_text: windows may run through texts to be learnt.
            max_tries: windows drawn if they may not; of these the first that cuts the fewest
                bounding boxes is taken.
        """
        super().__init__()
        self.size = tuple(size)
        self.text_prob = text_prob
        self.tries = 1 if cuts_text else max(1, max_tries)

    def get_transform(self, image_size: tuple[int, int], texts: TextInstances) -> AffineTransform:
        """Draw the window for an image of (H, W) and its texts, which must lie within it."""
        content = tuple(min(a, b) for a, b in zip(self.size, image_size))
        x, y = self.get_corner(image_size, texts)
        return AffineTransform([[1, 0, -x], [0, 1, -y]], self.size, content)

    def get_corner(self, image_size: tuple[int, int], texts: TextInstances) -> tuple[int, int]:
        """Draw the window's upper left corner (x, y), in whole pixels."""
        window = np.minimum(self.size, image_size)[::-1]
        last = np.asarray(image_size)[::-1] - window
        boxes = texts[~texts.ignore].bounds().reshape(-1, 2, 2)
        low, high = np.zeros((self.tries, 2), int), np.broadcast_to(last, (self.tries, 2))
        if self._rand_range() < self.text_prob and len(boxes):
            low, high = _corners_with(boxes, window, last)
            text = np.random.randint(len(boxes), size=self.tries)
            low, high = low[text], high[text]
        corners = np.random.randint(low, high + 1)
        if self.tries == 1:
            return tuple(corners[0].tolist())
        start, stop = corners[:, None], (corners + window)[:, None]
        outside = ((boxes[:, 1] <= start) | (boxes[:, 0] >= stop)).any(axis=2)
        inside = ((boxes[:, 0] >= start) & (boxes[:, 1] <= stop)).all(axis=2)
        cut = (~outside & ~inside).sum(axis=1)
        return tuple(corners[cut.argmin()].tolist())


def _corners_with(
    boxes: np.ndarray, window: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """First and last corner (x, y) of the windows that hold each box, or that lie within it."""
    first = np.where(boxes[:, 1] - boxes[:, 0] > window, boxes[:, 0], boxes[:, 1] - window)
    final = np.where(boxes[:, 1] - boxes[:, 0] > window, boxes[:, 1] - window, boxes[:, 0])
    low = np.clip(np.ceil(first - 1e-6).astype(int), 0, last)
    # A box with corners between pixels may leave no whole number; it is then cut by under a pixel.
    return low, np.maximum(np.clip(np.floor(final + 1e-6).astype(int), 0, last), low)
