"""The training crops of MhLiao/DB, as its code draws them, and what they do to texts.

Slow, and but for its last function independent of the package: whole pixels, one position at a
time. Only the geometry; no image is read.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from detectron2.data.transforms import AugmentationList

from vlpt_d2.data.transforms import RandomTextCrop, TextAugInput
from vlpt_d2.structures import TextInstances

Crop = tuple[int, int, int, int]  # x0, y0, x1, y1


def reference_crop(
    rng: np.random.Generator,
    texts: list[np.ndarray],
    size: tuple[int, int],
    max_tries: int = 10,
    min_side: float = 0.1,
) -> Crop:
    """Draw a crop of an image of (H, W) between texts, (N, 2) each; the whole image on failure."""
    height, width = size
    free_x, free_y = set(range(width)), set(range(height))
    for text in texts:
        corners = np.round(text).astype(int)
        for free, values in ((free_x, corners[:, 0]), (free_y, corners[:, 1])):
            free.difference_update(range(values.min(), values.max()))
    if not free_x or not free_y:
        return 0, 0, width, height
    columns, rows = _gaps(sorted(free_x)), _gaps(sorted(free_y))
    for _ in range(max_tries):
        x0, x1 = _two_ends(rng, columns)
        y0, y1 = _two_ends(rng, rows)
        if x1 - x0 < min_side * width or y1 - y0 < min_side * height:
            continue
        for text in texts:
            low, high = text.min(axis=0), text.max(axis=0)
            if (high >= (x0, y0)).all() and (low <= (x1, y1)).all():
                return x0, y0, x1, y1
    return 0, 0, width, height


def _gaps(free: list[int]) -> list[list[int]]:
    gaps = [[free[0]]]
    for before, position in pairwise(free):
        if position == before + 1:
            gaps[-1].append(position)
        else:
            gaps.append([position])
    return gaps


def _two_ends(rng: np.random.Generator, gaps: list[list[int]]) -> tuple[int, int]:
    """Both ends of a side: of gaps drawn with replacement, all but the last; or of anywhere."""
    places = gaps[:-1] if len(gaps) > 2 else [[position for gap in gaps for position in gap]]
    ends = []
    for _ in range(2):
        place = places[rng.integers(len(places))]
        ends.append(place[rng.integers(len(place))])
    return min(ends), max(ends)


def reference_training_texts(
    rng: np.random.Generator, texts: list[np.ndarray], size: tuple[int, int], train_size: int = 640
) -> tuple[list[np.ndarray], bool]:
    """Flip, rotate, resize and crop texts of an image of (H, W), as the reference trains on them.

    Returns:
        The texts that the crop touches, in its pixels, and whether it is the whole image.
    """
    height, width = size
    if rng.random() < 0.5:
        texts = [np.column_stack([width - t[:, 0], t[:, 1]]) for t in texts]
    angle = math.radians(rng.uniform(-10, 10))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    centre = (width / 2, height / 2)  # the image keeps its size
    factor = rng.uniform(0.5, 3.0)
    size = round(height * factor), round(width * factor)
    texts = [((t - centre) @ turn.T + centre) * (size[1] / width, size[0] / height) for t in texts]
    x0, y0, x1, y1 = crop = reference_crop(rng, texts, size)
    scale = min(train_size / (x1 - x0), train_size / (y1 - y0))
    moved = [(t - (x0, y0)) * scale for t in texts]
    end = ((x1 - x0) * scale, (y1 - y0) * scale)
    seen = [t for t in moved if (t.max(axis=0) >= 0).all() and (t.min(axis=0) <= end).all()]
    return seen, crop == (0, 0, size[1], size[0])


@dataclass
class CropStatistics:
    """What a way of cropping does to the texts of many images."""

    sides: list[float] = field(default_factory=list)  # least side of each text's upright box
    whole: list[bool] = field(default_factory=list)  # for each image, whether it was taken whole


def crop_statistics(
    images: Iterable[tuple[list[np.ndarray], tuple[int, int]]],
    augment: Callable[[list[np.ndarray], tuple[int, int]], tuple[list[np.ndarray], bool]],
) -> CropStatistics:
    """Augment the texts to be learnt of each image (H, W); those without any are left out.

    Args:
        images: texts and size.
        augment: such as :func:`reference_training_texts`.
    """
    found = CropStatistics()
    for texts, size in images:
        if texts:
            seen, whole = augment(texts, size)
            found.sides += [float(np.ptp(t, axis=0).min()) for t in seen]
            found.whole.append(whole)
    return found


def package_training_texts(augmentations: list) -> Callable:
    """The same from the package's own augmentations (of a config with CROP "fit")."""
    (crop,) = (a for a in augmentations if isinstance(a, RandomTextCrop))
    draw, drawn = crop.get_crop, []

    def watched(size, *texts):
        drawn.append((draw(size, *texts), (0, 0, size[1], size[0])))
        return drawn[-1][0]

    crop.get_crop = watched

    def augment(texts, size):
        inputs = TextAugInput(np.zeros((*size, 1), np.uint8), TextInstances(texts))
        AugmentationList(augmentations)(inputs)
        box, whole = drawn[-1]
        return inputs.texts[~inputs.texts.ignore].polygons, box == whole

    return augment
