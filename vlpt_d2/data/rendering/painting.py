"""Painting a block's coverage into an image: panel, shadow, outline, colour and blending."""

import cv2
import numpy as np

from .colours import contrasting_colour, lightness, random_colour
from .settings import RenderSettings

__all__ = ["paint_panel", "paint_text"]


def paint_panel(image: np.ndarray, outline: np.ndarray, rng: np.random.Generator) -> None:
    """Paint a sign of plain colour, perhaps with a border, in place.

    Args:
        image: (H, W, 3) uint8 RGB.
        outline: (N, 2) polygon of the sign.
        rng: source of randomness.
    """
    colour = random_colour(rng)
    border = contrasting_colour(rng, colour, 0.2)
    with_border = rng.random() < 0.35
    thickness = int(rng.integers(1, 1 + max(min(image.shape[:2]) // 150, 1)))
    left, top = np.maximum(np.floor(outline.min(axis=0)).astype(int) - 4, 0)
    right, bottom = np.ceil(outline.max(axis=0)).astype(int) + 4
    window = image[top:bottom, left:right]
    before = window.copy()
    # OpenCV takes fixed-point coordinates (here sixteenths) of pixel centres.
    points = [np.round((outline - (left, top) - 0.5) * 16).astype(np.int32)]
    cv2.fillPoly(window, points, colour.tolist(), cv2.LINE_AA, shift=4)
    if with_border:
        cv2.polylines(window, points, True, border.tolist(), thickness, cv2.LINE_AA, shift=4)
    # Some of what lies below shows through, as on worn or lit surfaces.
    share = rng.uniform(0.8, 1.0)
    cv2.addWeighted(window, share, before, 1 - share, 0, dst=window)


def paint_text(
    image: np.ndarray,
    coverage: np.ndarray,
    left: int,
    top: int,
    cap_height: float,
    rng: np.random.Generator,
    settings: RenderSettings,
) -> None:
    """Blend text into a window of an image, in place.

    Args:
        image: (H, W, 3) uint8 RGB.
        coverage: (h, w) uint8 coverage of the glyphs, with room around them for effects; the
            window may reach beyond the image.
        left, top: the window's corner in the image.
        cap_height: height of a capital in the image, pixels.
        rng: source of randomness.
        settings: shares of the effects and the contrast.
    """
    rows, columns = image.shape[:2]
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + coverage.shape[0], rows), min(left + coverage.shape[1], columns)
    cut = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    window = image[y0:y1, x0:x1].astype(np.float32)
    covered = coverage[cut]
    mean, deviation = (v.ravel() for v in cv2.meanStdDev(window, mask=covered))
    # Busy backgrounds need a larger difference to leave the text readable.
    unrest = lightness(deviation)
    contrast = min(settings.contrast + 1.5 * unrest, max(0.6, settings.contrast))
    colour = contrasting_colour(rng, mean, contrast)
    light = lightness(colour) > lightness(mean)

    if rng.random() < settings.shadow:
        reach = rng.uniform(0.05, 0.14) * cap_height
        angle = rng.uniform(0, 2 * np.pi)
        shift = [[1, 0, reach * np.cos(angle)], [0, 1, reach * np.sin(angle)]]
        size = coverage.shape[1], coverage.shape[0]
        shade = cv2.warpAffine(coverage, np.array(shift, np.float32), size)
        shade = cv2.GaussianBlur(shade, (0, 0), max(rng.uniform(0.02, 0.09) * cap_height, 0.4))
        depth = rng.uniform(0.35, 0.9)
        dark = np.zeros(3) if light or rng.random() < 0.7 else np.full(3, 255.0)
        _blend(window, shade[cut], dark, depth)
    if rng.random() < settings.outline * (1 + 20 * unrest):
        radius = max(round(rng.uniform(0.03, 0.1) * cap_height), 1)
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        edge = contrasting_colour(rng, colour, max(0.35, settings.contrast))
        _blend(window, cv2.dilate(coverage, disc)[cut], edge, 1.0)

    fill = colour.astype(np.float32)
    if rng.random() < settings.gradient:
        end = contrasting_colour(rng, mean, contrast)
        ramp = np.linspace(0, 1, window.shape[0], dtype=np.float32)[:, None, None]
        fill = fill + ramp * (end - colour).astype(np.float32)
    if rng.random() < settings.texture:
        # The light and shade of the surface continue over the text.
        strength = rng.uniform(0.3, 1.0) * min(0.05 / max(unrest, 1e-6), 1.0)
        luma = cv2.cvtColor(window, cv2.COLOR_RGB2GRAY) - np.float32(255 * lightness(mean))
        fill = fill + strength * luma[..., None]
    _blend(window, covered, fill, rng.uniform(*settings.opacity))
    image[y0:y1, x0:x1] = np.clip(window + 0.5, 0, 255).astype(np.uint8)


def _blend(window: np.ndarray, coverage: np.ndarray, colour: np.ndarray, opacity: float) -> None:
    alpha = coverage.astype(np.float32)[..., None] * np.float32(opacity / 255)
    window += alpha * (colour.astype(np.float32) - window)
