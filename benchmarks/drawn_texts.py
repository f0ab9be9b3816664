"""Polygons like those of texts, for the timings of labels and decoders."""

import cv2
import numpy as np

SIZE = (640, 640)


def random_quads(rng: np.random.Generator, count: int, size=SIZE, sides=(12, 60)) -> list:
    """Word-like rectangles, turned a little, within the image."""
    quads = []
    for _ in range(count):
        height = rng.uniform(*sides)
        width = height * rng.uniform(1.5, 5)
        centre = rng.uniform((60, 30), (size[1] - 60, size[0] - 30))
        corners = cv2.boxPoints((centre.tolist(), (width, height), rng.uniform(-20, 20)))
        quads.append(np.clip(corners, 0, size[::-1]).astype(np.float32))
    return quads


def separate_quads(rng: np.random.Generator, count: int, size: tuple[int, int]) -> list:
    """Word-like rectangles, turned a little, each in a cell of its own."""
    rows = round(np.sqrt(3 * count * size[0] / size[1]))
    columns = -(-count // rows)
    height, width = size[0] / rows, size[1] / columns
    quads = []
    for i in range(count):
        centre = ((i % columns + 0.5) * width, (i // columns + 0.5) * height)
        sides = (rng.uniform(0.6, 0.8) * width, rng.uniform(0.35, 0.6) * height)
        quads.append(cv2.boxPoints((centre, sides, rng.uniform(-8, 8))).astype(np.float32))
    return quads


def separate_bands(rng: np.random.Generator, count: int, size: tuple[int, int]) -> list:
    """Curved lines of text, arcs of 14 points, each in a cell of its own."""
    bands = []
    for quad in separate_quads(rng, count, size):
        width, height = 0.9 * np.ptp(quad, axis=0)
        turn = rng.uniform(0.8, 2.0)  # radians from end to end
        radius = width / turn
        angles = np.linspace(-0.5, 0.5, 7) * turn - np.pi / 2
        arc = np.column_stack([np.cos(angles), np.sin(angles)])
        band = np.concatenate([arc * (radius + height / 4), arc[::-1] * (radius - height / 4)])
        bands.append((band - band.mean(axis=0) + quad.mean(axis=0)).astype(np.float32))
    return bands


def random_bands(rng: np.random.Generator, count: int, size=SIZE) -> list:
    """Curved lines of text: bent bands of 14 points, as those of SCUT-CTW1500."""
    bands = []
    for _ in range(count):
        height = rng.uniform(16, 60)
        radius = rng.uniform(2, 5) * height
        angles = np.linspace(-0.5, 0.5, 7) * rng.uniform(4, 8) * height / radius - np.pi / 2
        arc = np.column_stack([np.cos(angles), np.sin(angles)])
        band = np.concatenate([arc * (radius + height), arc[::-1] * radius])
        band += rng.uniform((60, 60), (size[1] - 60, size[0] - 60)) - band.mean(axis=0)
        bands.append(band.astype(np.float32))
    return bands


def label_cases(rng: np.random.Generator) -> dict[str, list]:
    """Twenty texts of each kind that label maps are timed on, by the kind's name."""
    return {
        "words": random_quads(rng, 20),
        "large words": random_quads(rng, 20, sides=(60, 150)),
        "curved lines": random_bands(rng, 20),
    }
