"""Colour augmentations: detectron2's on bytes instead of floats, and the one that it lacks."""

import cv2
import numpy as np
from detectron2.data import transforms as T
from detectron2.data.transforms import Augmentation, ColorTransform


class RandomBrightness(T.RandomBrightness):
    """detectron2's, for uint8 images only: the same draws, rounded instead of cut off."""

    def get_transform(self, image: np.ndarray) -> ColorTransform:
        """Draw the factor for an (H, W, 3) uint8 image."""
        weight = float(self._rand_range(self.intensity_min, self.intensity_max))
        return ColorTransform(lambda x: cv2.addWeighted(x, weight, x, 0.0, 0.0))


class RandomContrast(T.RandomContrast):
    """detectron2's, for uint8 images only: the same draws, rounded instead of cut off."""

    def get_transform(self, image: np.ndarray) -> ColorTransform:
        """Draw the factor for an (H, W, 3) uint8 image."""
        weight = float(self._rand_range(self.intensity_min, self.intensity_max))
        mean = float(np.mean(cv2.mean(image)[:3]))
        return ColorTransform(lambda x: cv2.addWeighted(x, weight, x, 0.0, (1 - weight) * mean))


class RandomSaturation(T.RandomSaturation):
    """detectron2's, for uint8 images only and with the right grey for BGR, too."""

    def __init__(self, intensity_min: float, intensity_max: float, image_format: str = "RGB"):
        """Build the augmentation.

        Args:
            intensity_min, intensity_max: range of the factor; 0: grey, 1: unchanged.
            image_format: channel order, "RGB" or "BGR".
        """
        super().__init__(intensity_min, intensity_max)
        self.image_format = image_format

    def get_transform(self, image: np.ndarray) -> ColorTransform:
        """Draw the factor for an (H, W, 3) uint8 image."""
        weight = float(self._rand_range(self.intensity_min, self.intensity_max))
        to_grey = cv2.COLOR_BGR2GRAY if self.image_format == "BGR" else cv2.COLOR_RGB2GRAY

        def fade(x: np.ndarray) -> np.ndarray:
            grey = cv2.cvtColor(cv2.cvtColor(x, to_grey), cv2.COLOR_GRAY2RGB)
            return cv2.addWeighted(x, weight, grey, 1 - weight, 0.0)

        return ColorTransform(fade)


class RandomHue(Augmentation):
    """Turn all hues by one angle (as torchvision's ColorJitter)."""

    def __init__(self, amount: float, image_format: str):
        """Build the augmentation.

        Args:
            amount: the angle is drawn from +- this share of the full circle, in [0, 0.5].
            image_format: channel order, "RGB" or "BGR".

        Raises:
            ValueError: amount or format out of range.
        """
        super().__init__()
        if not 0 <= amount <= 0.5:
            raise ValueError(f"INPUT.DETECTION.HUE is from 0 to 0.5 of the circle, not {amount}")
        if image_format not in ("RGB", "BGR"):
            raise ValueError(
                f'INPUT.DETECTION.HUE needs INPUT.FORMAT "RGB" or "BGR", not {image_format!r}'
            )
        self.amount = amount
        self.image_format = image_format

    def get_transform(self, image: np.ndarray) -> ColorTransform:
        """Draw the angle for an (H, W, 3) uint8 image."""
        # OpenCV's full-range hue: 256 steps to the circle, so that uint8 wraps around.
        shift = np.uint8(round(256 * self._rand_range(-self.amount, self.amount)) % 256)
        there, back = (
            (cv2.COLOR_RGB2HSV_FULL, cv2.COLOR_HSV2RGB_FULL)
            if self.image_format == "RGB"
            else (cv2.COLOR_BGR2HSV_FULL, cv2.COLOR_HSV2BGR_FULL)
        )

        def turn(image: np.ndarray) -> np.ndarray:
            hsv = cv2.cvtColor(image, there)
            hsv[..., 0] += shift
            return cv2.cvtColor(hsv, back)

        return ColorTransform(turn)
