"""Affine transforms that add up, so that an image is resampled once however many are applied."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
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


class AveragingResize(AffineTransform):
    """Resize to a size by averaging, whichever of the sides shrink; the aspect ratio may change.

    :class:`TextAugInput` does not postpone it.
    """

    def __init__(self, old_size: Sequence[int], new_size: Sequence[int], interp: int | None = None):
        """
        Args:
            old_size: (H, W) of the image.
            new_size: (H, W) of the result.
            interp: OpenCV's interpolation for both sides in place of averaging.
        """
        scale_y, scale_x = np.divide(new_size, old_size)
        super().__init__(np.array([[scale_x, 0, 0], [0, scale_y, 0]]), new_size)
        self.interp = interp

    def apply_image(self, image: np.ndarray, interp: int | None = None) -> np.ndarray:
        """Resize an (H, W) or (H, W, C) image; ``interp`` as in :meth:`__init__`."""
        interp = self.interp if interp is None else interp
        height, width = self.output_size
        if interp is not None:
            return cv2.resize(image, (width, height), interpolation=interp)
        smaller = (min(width, image.shape[1]), min(height, image.shape[0]))
        # INTER_AREA averages only where no side grows, so sides grow in a second step.
        if smaller != image.shape[1::-1]:
            image = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
        if smaller != (width, height):
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        return image


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
        if isinstance(tfm, AffineTransform) and not isinstance(tfm, AveragingResize):
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
