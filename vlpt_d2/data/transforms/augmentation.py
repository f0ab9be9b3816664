"""Text-aware augmentations, to be used with :class:`TextAugInput`."""

import math

import numpy as np
from detectron2.data.transforms import Augmentation, NoOpTransform, ResizeTransform
from fvcore.transforms.transform import Transform

from ...structures import TextInstances
from .affine import AffineTransform, AveragingResize


class _SizeAugmentation(Augmentation):
    """An augmentation that depends only on the image's size.

    By default detectron2 passes the image to a ``get_transform`` with one argument, which would
    end the chain of postponed affine transforms.
    """

    input_args = ("image_size",)


class RandomHorizontalFlip(_SizeAugmentation):
    """Mirror left and right with a probability."""

    def __init__(self, prob: float = 0.5):
        super().__init__()
        self.prob = prob

    def get_transform(self, image_size: tuple[int, int]) -> Transform:
        """Draw whether to flip an image of (H, W)."""
        if self._rand_range() >= self.prob:
            return NoOpTransform()
        return AffineTransform([[-1, 0, image_size[1]], [0, 1, 0]], image_size)


class RandomTextRotation(_SizeAugmentation):
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


class ResizeToSize(_SizeAugmentation):
    """Resize to one size without keeping the aspect ratio."""

    def __init__(self, size: tuple[int, int]):
        """
        Args:
            size: (H, W) of the result.
        """
        super().__init__()
        self.size = tuple(size)

    def get_transform(self, image_size: tuple[int, int]) -> Transform:
        """Return the resize of an image of (H, W)."""
        return AveragingResize(image_size, self.size)


class ResizeShortSide(_SizeAugmentation):
    """Bring the short side to a length, keeping the aspect ratio."""

    def __init__(self, short_side: int):
        super().__init__()
        self.short_side = short_side

    def get_transform(self, image_size: tuple[int, int]) -> Transform:
        """Return the resize of an image of (H, W)."""
        scale = self.short_side / min(image_size)
        return _resize(image_size, (scale, scale))


class RandomAspect(_SizeAugmentation):
    """Change height / width by a factor from a range; the area stays."""

    def __init__(self, aspect_range: tuple[float, float]):
        super().__init__()
        self.aspect_range = tuple(aspect_range)

    def get_transform(self, image_size: tuple[int, int]) -> Transform:
        """Draw the factor for an image of (H, W)."""
        stretch = math.sqrt(self._rand_range(*self.aspect_range))
        return _resize(image_size, (stretch, 1 / stretch))


class RandomScale(_SizeAugmentation):
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
        return _resize(image_size, (scale, scale), self.resample and scale < 1)


def _resize(
    image_size: tuple[int, int], factors: tuple[float, float], resample: bool = False
) -> Transform:
    """Resize by (vertical, horizontal) factors, to whole pixels."""
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


class ResizeForTest(_SizeAugmentation):
    """Resize by one of the rules text detectors are tested with."""

    MODES = ("fixed", "short", "height", "native")

    def __init__(self, mode: str, size: tuple[int, int], max_size: int = 0, divisor: int = 32):
        """Build the augmentation.

        Args:
            mode: "fixed": to ``size``, whatever the aspect ratio; "short": short side to
                ``size[0]``, both sides up to multiples of ``divisor`` (PSENet); "height": height
                to ``size[0]``, width up to a multiple of ``divisor`` (DB); "native": as it is, but
                both sides down to multiples of ``divisor`` (EAST).
            size: (H, W).
            max_size: the long side's limit, but in "fixed" mode; 0 for none.
            divisor: see ``mode``.

        Raises:
            ValueError: unknown mode.
        """
        super().__init__()
        if mode not in self.MODES:
            raise ValueError(f"INPUT.DETECTION.TEST_RESIZE is one of {self.MODES}, not {mode!r}")
        self.mode = mode
        self.size = tuple(size)
        self.max_size = max_size
        self.divisor = divisor

    def get_transform(self, image_size: tuple[int, int]) -> Transform:
        """Return the resize of an image of (H, W)."""
        size = self.size if self.mode == "fixed" else self._keep_ratio(image_size)
        if size == tuple(image_size):
            return NoOpTransform()
        return ResizeTransform(*image_size, *size)

    def _keep_ratio(self, image_size: tuple[int, int]) -> tuple[int, int]:
        height, width = image_size
        scale = 1.0
        if self.mode != "native":
            scale = self.size[0] / (height if self.mode == "height" else min(image_size))
        limit = scale
        if self.max_size:
            limit = min(scale, self.max_size / max(image_size))

        def up(side: float) -> int:
            return max(1, math.ceil(side / self.divisor - 1e-6)) * self.divisor

        def down(side: float) -> int:
            return max(1, math.floor(side / self.divisor + 1e-6)) * self.divisor

        if self.mode == "native":
            return down(height * limit), down(width * limit)
        if self.mode == "height" and limit == scale:
            return self.size[0], up(width * scale)
        return up(height * limit), up(width * limit)


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
