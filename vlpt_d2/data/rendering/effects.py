"""Effects of camera and file on a whole image; none moves a pixel's content."""

from functools import lru_cache
from typing import cast

import cv2
import numpy as np

from .settings import RenderSettings

__all__ = ["apply_effects"]

_NOISE_SIDE = 1024
# Grey levels of noise per unit of standard deviation in the stored tile.
_NOISE_UNIT = 24.0


def apply_effects(
    image: np.ndarray, rng: np.random.Generator, settings: RenderSettings
) -> np.ndarray:
    """Return a (H, W, 3) uint8 RGB image with light, blur, noise and compression applied."""
    if rng.random() < settings.lighting:
        image = _light(image, rng)
    if rng.random() < settings.colour_shift:
        image = _shift_colours(image, rng)
    if rng.random() < settings.blur:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(*settings.blur_sigma))
    if rng.random() < settings.motion_blur:
        image = cv2.filter2D(image, -1, _motion_kernel(rng, settings.motion_length))
    if rng.random() < settings.noise:
        image = _add_noise(image, rng, rng.uniform(*settings.noise_std))
    if rng.random() < settings.jpeg:
        lowest, highest = settings.jpeg_quality
        image = _compress(image, int(rng.integers(lowest, highest + 1)))
    return image


def _light(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Uneven light: a smooth factor, now and then with the edge of a shadow."""
    cells = rng.integers(2, 4)
    factors = 1 + rng.uniform(0.05, 0.3) * rng.standard_normal((cells, cells, 1))
    tripled = np.clip(factors, 0.35, 1.5).astype(np.float32).repeat(3, axis=2)
    height, width = image.shape[:2]
    # A quarter of the size is enough for something this smooth.
    size = width // 4 + 1, height // 4 + 1
    small: np.ndarray = cv2.resize(tripled, size, interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.25:
        points = rng.uniform(-0.3, 1.3, (3, 2)) * (small.shape[1], small.shape[0])
        shade = np.full(small.shape[:2], 255, np.uint8)
        cv2.fillPoly(shade, [points.astype(np.int32)], rng.uniform(120, 220), cv2.LINE_AA)
        small *= cv2.blur(shade, (3, 3)).astype(np.float32)[..., None] / 255
    field = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.multiply(image, field, dtype=cv2.CV_8U)


def _shift_colours(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, contrast, gamma and white balance, as one table for each channel."""
    levels = np.arange(256) / 255
    gamma = np.exp(rng.normal(0, 0.2))
    gain = rng.uniform(0.75, 1.15) * (1 + rng.normal(0, 0.05, 3))
    lift = rng.uniform(-0.05, 0.1)
    curve = levels[:, None] ** gamma * gain + lift
    return cv2.LUT(image, np.clip(curve * 255, 0, 255).astype(np.uint8)[None])


def _motion_kernel(rng: np.random.Generator, lengths: tuple[int, int]) -> np.ndarray:
    length = int(rng.integers(lengths[0], lengths[1] + 1)) | 1
    angle = rng.uniform(0, np.pi)
    kernel = np.zeros((length, length), np.float32)
    middle = length // 2
    reach = np.array([np.cos(angle), np.sin(angle)]) * middle
    start, end = (np.round(middle + s * reach).astype(int).tolist() for s in (-1, 1))
    cv2.line(kernel, start, end, 1.0, 1)
    return kernel / kernel.sum()


@lru_cache(maxsize=1)
def _noise_tile() -> np.ndarray:
    """Fixed Gaussian noise: drawing fresh noise would cost more than all other effects."""
    noise = np.random.default_rng(20_220_413).standard_normal(
        (_NOISE_SIDE, _NOISE_SIDE, 3), dtype=np.float32
    )
    # Partly common to the channels, as luminance noise is.
    noise = 0.8 * noise + 0.6 * noise[..., :1]
    return np.clip(noise * _NOISE_UNIT, -127, 127).astype(np.int8)


def _add_noise(image: np.ndarray, rng: np.random.Generator, std: float) -> np.ndarray:
    height, width = image.shape[:2]
    tile = _noise_tile()
    if max(height, width) > _NOISE_SIDE:
        repeats = (-(-height // _NOISE_SIDE), -(-width // _NOISE_SIDE), 1)
        tile = np.tile(tile, repeats)
    top = rng.integers(tile.shape[0] - height + 1)
    left = rng.integers(tile.shape[1] - width + 1)
    noise = tile[top : top + height, left : left + width]
    return cv2.addWeighted(image, 1.0, noise, std / _NOISE_UNIT, 0, dtype=cv2.CV_8U)


def _compress(image: np.ndarray, quality: int) -> np.ndarray:
    """Encode and decode as JPEG; which channel is called red only moves the chroma slightly."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cast(np.ndarray, cv2.imdecode(data, cv2.IMREAD_COLOR))
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
