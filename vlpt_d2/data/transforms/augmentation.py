"""Geometric augmentations that keep image and texts in step, and the input that carries both.

Affine transforms add up, so that an image is resampled once however many are applied.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from detectron2.data.transforms import Augmentation
from fvcore.transforms.transform import NoOpTransform, Transform
from numpy.typing import ArrayLike

from ...structures import TextInstances

# Pixels of an image that is resampled only for its loss of detail. A long strip that is rotated
# has many times its own pixels, nearly all of them black; its resampling is postponed.
_LARGEST_RESAMPLED = 2**25


class AffineTransform(Transform):
    """An affine map of the image plane, followed by padding below and to the right.

    Coordinates are detectron2's: (0, 0) is the corner of the first pixel, its centre is at
    (0.5, 0.5).
    """

    #: Whether :class:`TextAugInput` may postpone the resampling until something reads the image.
    postponed = True

    def __init__(
        self,
        matrix: ArrayLike,
        output_size: Sequence[int],
        content_size: Sequence[int] | None = None,
        resample: bool = False,
    ):
        """Build the transform.

        Args:
            matrix: (2, 3), from (x, y, 1) to the new (x, y).
            output_size: (H, W) of the new image.
            content_size: (H, W) of its part that is filled from the old image; the rest is black.
                Default: all of it.
            resample: :class:`TextAugInput` must not postpone this one's resampling, because the
                loss of detail is wanted.
        """
        super().__init__()
        self.matrix = np.asarray(matrix, np.float64)
        height, width = output_size
        self.output_size = height, width
        height, width = content_size or output_size
        self.content_size = height, width
        self.resample = resample

    @property
    def pads(self) -> bool:
        """Whether some of the output is padding."""
        return self.content_size != self.output_size

    def apply_image(self, image: np.ndarray, interp: int = cv2.INTER_LINEAR) -> np.ndarray:
        """Warp an (H, W) or (H, W, C) image; averaged first along a side that shrinks to half."""
        matrix = self.matrix
        if interp != cv2.INTER_NEAREST:
            old = image.shape[1::-1]
            # A step along x, or y, becomes this long.
            steps = np.maximum(np.linalg.norm(matrix[:, :2], axis=0), 1e-6)
            shrink = np.clip(np.floor(1 / steps + 1e-6), 1, old).astype(int)
            if (shrink >= 2).any():
                new = (old // shrink).tolist()
                image = cv2.resize(image, new, interpolation=cv2.INTER_AREA)
                matrix = matrix.copy()
                matrix[:, :2] *= np.divide(old, new)

        height, width = self.content_size
        # OpenCV puts (0, 0) at the centre of the first pixel.
        pixel_matrix = matrix.copy()
        pixel_matrix[:, 2] += 0.5 * matrix[:, :2].sum(axis=1) - 0.5
        rotated = abs(matrix[0, 1]) + abs(matrix[1, 0]) > 1e-9
        content = cv2.warpAffine(
            image,
            pixel_matrix,
            (width, height),
            flags=interp,
            # Without rotation nothing outside the image shows, but its edge would darken.
            borderMode=cv2.BORDER_CONSTANT if rotated else cv2.BORDER_REPLICATE,
        )
        if not self.pads:
            return content
        padded = np.zeros((*self.output_size, *content.shape[2:]), content.dtype)
        padded[:height, :width] = content
        return padded

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Map (N, 2) points (x, y)."""
        coords = np.asarray(coords, np.float64).reshape(-1, 2)
        return coords @ self.matrix[:, :2].T + self.matrix[:, 2]

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """Warp an (H, W) label map without mixing labels."""
        return self.apply_image(segmentation, interp=cv2.INTER_NEAREST)

    def after(self, first: "AffineTransform") -> "AffineTransform":
        """Return the one transform that equals ``first`` and then this one.

        Raises:
            ValueError: ``first`` pads; its padding would be filled with image again.
        """
        if first.pads:
            raise ValueError("only the last of a chain of affine transforms may pad")
        linear = self.matrix[:, :2] @ first.matrix[:, :2]
        offset = self.apply_coords(first.matrix[:, 2])[0]
        return AffineTransform(
            np.column_stack([linear, offset]), self.output_size, self.content_size
        )


def _size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[0], image.shape[1]


class TextAugInput:
    """Image and texts under augmentation; takes the place of detectron2's ``AugInput``.

    Augmentations may ask for ``image``, ``image_size`` and ``texts``. Successive affine transforms
    are multiplied and the image is warped once, when something reads it: faster than one pass
    each, and sharper.
    """

    def __init__(
        self,
        image: np.ndarray,
        texts: TextInstances | None = None,
        min_visible: float | None = 0.5,
    ):
        """Wrap a sample.

        Args:
            image: (H, W, 3) uint8.
            texts: its texts.
            min_visible: see :meth:`TextInstances.cut`, which runs now and after every transform.
                None: texts stay whole, wherever they go.
        """
        self._image = image
        self._pending: AffineTransform | None = None
        self.image_size = _size(image)
        self.min_visible = min_visible
        self.texts = self._cut(TextInstances() if texts is None else texts, self.image_size)

    @property
    def image(self) -> np.ndarray:
        """The image with everything applied so far."""
        if self._pending is not None:
            self._image = self._pending.apply_image(self._image)
            self._pending = None
        return self._image

    def transform(self, tfm: Transform) -> None:
        """Apply a transform to image and texts in place."""
        if isinstance(tfm, NoOpTransform):
            return  # or the image would be warped for nothing
        if isinstance(tfm, AffineTransform) and tfm.postponed:
            if self._pending is not None and not self._pending.pads:
                self._pending = tfm.after(self._pending)
            else:
                self._image = self.image
                self._pending = tfm
            self.image_size = tfm.output_size
            # What falls on the padding is gone from the image.
            visible_size = tfm.content_size
            if tfm.resample and math.prod(tfm.output_size) <= _LARGEST_RESAMPLED:
                self._image = self.image
        else:
            self._image = tfm.apply_image(self.image)
            visible_size = self.image_size = _size(self._image)
        self.texts = self._cut(self.texts.mapped(tfm.apply_coords), visible_size)

    def _cut(self, texts: TextInstances, size: tuple[int, int]) -> TextInstances:
        return texts if self.min_visible is None else texts.cut(size, self.min_visible)


class SizeAugmentation(Augmentation):
    """An augmentation that depends only on the image's size.

    By default detectron2 passes the image to a ``get_transform`` with one argument, which would
    end the chain of postponed affine transforms.
    """

    input_args = ("image_size",)


class RandomHorizontalFlip(SizeAugmentation):
    """Mirror left and right with a probability."""

    def __init__(self, prob: float = 0.5):
        super().__init__()
        self.prob = prob

    def get_transform(self, image_size: tuple[int, int]) -> Transform:
        """Draw whether to flip an image of (H, W)."""
        if self._rand_range() >= self.prob:
            return NoOpTransform()
        return AffineTransform([[-1, 0, image_size[1]], [0, 1, 0]], image_size)


class RandomTextRotation(SizeAugmentation):
    """Rotate about the image's centre by an angle from a range of degrees.

    The image keeps its size: what turns out of it is cut off, what turns in is black.
    """

    def __init__(self, angle_range: tuple[float, float] = (-10.0, 10.0)):
        super().__init__()
        self.angle_range = tuple(angle_range)

    def get_transform(self, image_size: tuple[int, int]) -> Transform:
        """Draw the angle (counter-clockwise on screen) for an image of (H, W)."""
        angle = math.radians(self._rand_range(*self.angle_range))
        if angle == 0:
            return NoOpTransform()
        cos, sin = math.cos(angle), math.sin(angle)
        linear = np.array([[cos, sin], [-sin, cos]])
        centre = np.array([image_size[1], image_size[0]]) / 2
        return AffineTransform(np.column_stack([linear, centre - linear @ centre]), image_size)


class RandomScale(SizeAugmentation):
    """Resize by a factor from a range, keeping the aspect ratio."""

    def __init__(self, scale_range: tuple[float, float] = (0.5, 3.0), resample: bool = True):
        """Build the augmentation.

        Args:
            scale_range: of the factor.
            resample: really take away detail where the factor is below 1, though a crop follows
                that is itself resized to a fixed size, so that the factor does not change the
                size texts end up with (DB's recipe).
        """
        super().__init__()
        self.scale_range = tuple(scale_range)
        self.resample = resample

    def get_transform(self, image_size: tuple[int, int]) -> Transform:
        """Draw the factor for an image of (H, W)."""
        scale = self._rand_range(*self.scale_range)
        return resize_by(image_size, (scale, scale), self.resample and scale < 1)


def resize_by(
    image_size: tuple[int, int], factors: tuple[float, float], resample: bool = False
) -> Transform:
    """Resize an image of (H, W) by (vertical, horizontal) factors, to whole pixels."""
    size = tuple(max(1, round(side * factor)) for side, factor in zip(image_size, factors))
    if size == tuple(image_size):
        return NoOpTransform()
    matrix = [[size[1] / image_size[1], 0, 0], [0, size[0] / image_size[0], 0]]
    return AffineTransform(matrix, size, resample=resample)


class RandomTextCrop(Augmentation):
    """Crop between texts, then fit the crop into a fixed size and pad it there.

    The crop's sides are drawn from the columns and rows that run through no text to be learnt, so
    none is ever cut; it holds at least one of them whole. Ignored texts may be cut. If no such
    crop is found, the whole image is taken. Sides are drawn as in MhLiao/DB
    data/processes/random_crop_data.py: often both ends lie in one gap, or the last gap is the only
    one that would do, so a third of the images of ICDAR2015 is taken whole.
    """

    def __init__(
        self,
        size: tuple[int, int],
        max_tries: int = 10,
        min_side: float = 0.1,
        max_side: float = 1.0,
    ):
        """Build the augmentation.

        Args:
            size: (H, W) of the result.
            max_tries: crops drawn before the whole image is taken; 0 always takes it.
            min_side: least width and height of a crop, as a share of the image's.
            max_side: largest width and height of a crop; smaller values keep texts larger.
        """
        super().__init__()
        self.size = tuple(size)
        self.max_tries = max_tries
        self.min_side = min_side
        self.max_side = max_side

    def get_transform(self, image_size: tuple[int, int], texts: TextInstances) -> Transform:
        """Draw the crop for an image of (H, W) and its texts, which must lie within it."""
        x0, y0, x1, y1 = self.get_crop(image_size, texts)
        scale = min(self.size[0] / (y1 - y0), self.size[1] / (x1 - x0))
        # Of a very long crop the short side would round to nothing.
        content = tuple(
            max(1, min(round(s * scale), m)) for s, m in zip((y1 - y0, x1 - x0), self.size)
        )
        scale_x, scale_y = content[1] / (x1 - x0), content[0] / (y1 - y0)
        matrix = [[scale_x, 0, -x0 * scale_x], [0, scale_y, -y0 * scale_y]]
        return AffineTransform(matrix, self.size, content)

    def get_crop(
        self, image_size: tuple[int, int], texts: TextInstances
    ) -> tuple[int, int, int, int]:
        """Draw the crop (x0, y0, x1, y1), in whole pixels."""
        height, width = image_size
        whole = (0, 0, width, height)
        boxes = texts[~texts.ignore].bounds()
        if not len(boxes):
            return whole
        columns = _free_runs(boxes[:, 0], boxes[:, 2], width)
        rows = _free_runs(boxes[:, 1], boxes[:, 3], height)
        if not columns[0].size or not rows[0].size:
            return whole
        for _ in range(self.max_tries):
            x0, x1 = _draw_side(columns)
            y0, y1 = _draw_side(rows)
            if x1 - x0 < max(1, self.min_side * width) or y1 - y0 < max(1, self.min_side * height):
                continue
            if x1 - x0 > self.max_side * width or y1 - y0 > self.max_side * height:
                continue
            if ((boxes >= (x0, y0, x0, y0)) & (boxes <= (x1, y1, x1, y1))).all(axis=1).any():
                return x0, y0, x1, y1
        return whole


def _free_runs(low: np.ndarray, high: np.ndarray, length: int) -> list[np.ndarray]:
    """Runs of neighbouring pixels 0 to length - 1 that lie in none of the intervals."""
    free = np.ones(length, bool)
    for start, stop in zip(np.floor(low).astype(int), np.ceil(high).astype(int)):
        free[start:stop] = False
    pixels = np.flatnonzero(free)
    return np.split(pixels, np.flatnonzero(np.diff(pixels) > 1) + 1)


def _draw_side(runs: list[np.ndarray]) -> tuple[int, int]:
    """Draw both ends of a side, which may be the same pixel's.

    The last run is left out. With two or more others, each end's run is drawn with replacement,
    then a pixel of it; else both ends are drawn among all pixels.
    """
    others = runs[:-1] if len(runs) > 2 else [np.concatenate(runs)]
    ends = [np.random.choice(others[i]) for i in np.random.randint(len(others), size=2)]
    return int(min(ends)), int(max(ends))
