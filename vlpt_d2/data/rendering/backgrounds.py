"""Backgrounds: procedural textures, and crops of photographs from a folder."""

import os
from functools import lru_cache

import cv2
import numpy as np

from ..image_io import read_image, readable_suffixes
from .colours import random_colour
from .settings import RenderSettings

__all__ = ["find_photographs", "make_background"]

# Photographs kept decoded by each process.
_CACHED_PHOTOGRAPHS = 64


def make_background(rng: np.random.Generator, settings: RenderSettings) -> np.ndarray:
    """Return a (H, W, 3) uint8 RGB background of the size in the settings."""
    if settings.backgrounds and rng.random() < settings.photographs:
        paths = find_photographs(settings.backgrounds)
        return _crop_photograph(paths[rng.integers(len(paths))], rng, settings.size)
    kind = settings.background_kinds[rng.integers(len(settings.background_kinds))]
    return _KINDS[kind](rng, *settings.size)


@lru_cache(maxsize=8)
def find_photographs(folder: str) -> tuple[str, ...]:
    """Return the image files of a folder and its subfolders, sorted.

    Raises:
        FileNotFoundError: where there is none.
    """
    paths = tuple(
        os.path.join(root, name)
        for root, _, names in sorted(os.walk(folder))
        for name in sorted(names)
        if os.path.splitext(name)[1].lower() in readable_suffixes()
    )
    if not paths:
        raise FileNotFoundError(
            f"no photographs in {folder!r}: check the render setting backgrounds "
            '("" renders on procedural textures)'
        )
    return paths


@lru_cache(maxsize=_CACHED_PHOTOGRAPHS)
def _read_photograph(path: str) -> np.ndarray:
    image = read_image(path, path)
    image.flags.writeable = False
    return image


def _crop_photograph(path: str, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    photograph = _read_photograph(path)
    height, width = photograph.shape[:2]
    scale = min(height / size[0], width / size[1]) * rng.uniform(0.6, 1.0)
    rows, columns = max(int(size[0] * scale), 1), max(int(size[1] * scale), 1)
    top = rng.integers(height - rows + 1)
    left = rng.integers(width - columns + 1)
    crop = photograph[top : top + rows, left : left + columns]
    how = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    image = cv2.resize(crop, (size[1], size[0]), interpolation=how)
    return cv2.flip(image, 1) if rng.random() < 0.5 else image


def _smooth_noise(
    rng: np.random.Generator, height: int, width: int, cells: int, channels: int = 1
) -> np.ndarray:
    """Return (height, width[, channels]) float32 noise of mean 0 with ``cells`` cells a side."""
    grid = rng.standard_normal((cells, cells, channels), dtype=np.float32)
    return cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)


def _shade(image: np.ndarray, shade: np.ndarray, tint: np.ndarray | None = None) -> np.ndarray:
    """Add (H, W) float32 grey levels, times a factor for each channel, to a uint8 image."""
    factors = (1.0, 1.0, 1.0) if tint is None else tint.tolist()
    # OpenCV's sum saturates.
    return cv2.add(image, cv2.merge([shade * factor for factor in factors]), dtype=cv2.CV_8U)


def _plain(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), random_colour(rng), np.uint8)


def _gradient(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    first = random_colour(rng).astype(np.float32)
    corners = np.stack([first + rng.normal(0, 30, 3) for _ in range(4)]).reshape(2, 2, 3)
    clipped = np.clip(corners, 0, 255).astype(np.uint8)
    return cv2.resize(clipped, (width, height), interpolation=cv2.INTER_LINEAR)


def _clouds(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    shade = np.zeros((height, width), np.float32)
    strength = rng.uniform(8, 26)
    for cells in (3, 7, 17, 43):
        shade += strength * _smooth_noise(rng, height, width, cells)
        strength *= rng.uniform(0.4, 0.7)
    tint = rng.uniform(0.7, 1.1, 3).astype(np.float32)
    return _shade(_plain(rng, height, width), shade, tint)


def _surface(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return float32 shading of a rough surface, to lay over drawn shapes."""
    shade = rng.uniform(2, 9) * _smooth_noise(rng, height, width, 5)
    return shade + rng.uniform(1, 6) * _smooth_noise(rng, height, width, max(height // 4, 8))


def _stripes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    colours = np.array([random_colour(rng), random_colour(rng)], np.float32)
    colours[1] = colours[0] + rng.uniform(0.1, 0.8) * (colours[1] - colours[0])
    angle = rng.uniform(0, np.pi)
    period = rng.uniform(0.02, 0.2) * height
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    phase = (xs * np.cos(angle) + ys * np.sin(angle)) / period * 2 * np.pi
    # Blended through a table of 256 shades.
    share = cv2.convertScaleAbs(np.clip(np.sin(phase) * rng.uniform(0.8, 6) + 0.5, 0, 1), alpha=255)
    table = colours[0] + np.linspace(0, 1, 256)[:, None] * (colours[1] - colours[0])
    image = cv2.LUT(cv2.merge([share] * 3), np.clip(table, 0, 255).astype(np.uint8)[None])
    return _shade(image, _surface(rng, height, width))


def _bricks(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    brick_height = max(int(rng.uniform(0.03, 0.12) * height), 4)
    brick_width = int(brick_height * rng.uniform(1.0, 3.0))
    joint = max(int(brick_height * rng.uniform(0.04, 0.15)), 1)
    colour, mortar = random_colour(rng).astype(np.float32), random_colour(rng)
    image = np.full((height, width, 3), mortar, np.uint8)
    shift = brick_width // 2 if rng.random() < 0.7 else 0
    spread = rng.uniform(2, 20)
    for row, top in enumerate(range(0, height, brick_height)):
        for left in range(-shift * (row % 2), width, brick_width):
            shade = np.clip(colour + rng.normal(0, spread), 0, 255)
            corner = (left + brick_width - joint, top + brick_height - joint)
            cv2.rectangle(image, (left, top), corner, shade.tolist(), -1)
    return _shade(image, _surface(rng, height, width))


def _facade(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Rows of windows: regular edges that a detector must learn to leave alone."""
    image = _clouds(rng, height, width)
    rows, columns = rng.integers(2, 7), rng.integers(2, 9)
    fill = rng.uniform(0.4, 0.8, 2)
    glass, frame = random_colour(rng).astype(np.float32), random_colour(rng).tolist()
    step_y, step_x = height / rows, width / columns
    offset_y, offset_x = rng.uniform(-0.3, 0.3, 2)
    bars = int(rng.integers(0, 3))
    for row in range(-1, rows + 1):
        for column in range(-1, columns + 1):
            top, left = int((row + offset_y) * step_y), int((column + offset_x) * step_x)
            bottom, right = int(top + fill[0] * step_y), int(left + fill[1] * step_x)
            shade = np.clip(glass + rng.normal(0, 18), 0, 255).tolist()
            cv2.rectangle(image, (left, top), (right, bottom), shade, -1)
            cv2.rectangle(image, (left, top), (right, bottom), frame, max(height // 170, 1))
            for bar in range(bars):
                x = left + (right - left) * (bar + 1) // (bars + 1)
                cv2.line(image, (x, top), (x, bottom), frame, 1)
    return image


def _shapes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Overlapping polygons, discs and thin lines over a rough surface."""
    image = _gradient(rng, height, width)
    scale = min(height, width)
    for _ in range(rng.integers(4, 26)):
        colour = random_colour(rng).tolist()
        centre = rng.uniform(0, 1, 2) * (width, height)
        radius = scale * 10 ** rng.uniform(-2.0, -0.4)
        kind = rng.integers(4)
        if kind == 0:
            cv2.circle(image, tuple(int(v) for v in centre), int(radius), colour, -1, cv2.LINE_AA)
        elif kind == 1:
            ends = centre + rng.normal(0, 0.4 * scale, (2, 2))
            thickness = int(rng.integers(1, max(scale // 60, 2)))
            start, end = ends.astype(int).tolist()
            cv2.line(image, start, end, colour, thickness, cv2.LINE_AA)
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 7)))
            points = centre + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
            cv2.fillPoly(image, [points.astype(np.int32)], colour, cv2.LINE_AA)
    return _shade(image, _surface(rng, height, width))


_KINDS = {
    "plain": _plain,
    "gradient": _gradient,
    "clouds": _clouds,
    "stripes": _stripes,
    "bricks": _bricks,
    "facade": _facade,
    "shapes": _shapes,
}
