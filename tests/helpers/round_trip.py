"""Polygons -> label maps -> perfect predictions -> decoder -> polygons, for any text head.

A detector can find a text only as well as its own labels, read back by its own decoder, give it
again. The harness runs that circle on whole data sets and says, for each text, how well it came
back, and where it did not, why.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import cv2
import numpy as np
import shapely

from vlpt_d2.data.rendering import render_sample
from vlpt_d2.modeling.detection import DecodedTexts
from vlpt_d2.structures import TextInstances

from .real_images import icdar2015_dicts

Maps = dict[str, np.ndarray]


@dataclass(frozen=True)
class Texts:
    """The ground truth of one image."""

    name: str
    polygons: list[np.ndarray]  # (N, 2) float32 each, pixels of the image
    ignore: np.ndarray  # (len(polygons),) bool
    image_size: tuple[int, int]  # (H, W)
    words: Sequence[str] | None = None
    characters: Sequence[np.ndarray] | None = None  # (C_i, 4, 2) of each

    def instances(self) -> TextInstances:
        """The texts as a label function takes them."""
        return TextInstances(self.polygons, self.ignore, self.words, self.characters)


@dataclass(frozen=True)
class Outcome:
    """How one text came back.

    ``reason`` is "" where the IoU is reached, else the first of these that holds:
    "not labelled": its label maps, drawn alone, show nothing to find;
    "outside": a tenth of it or more lies outside the image, which no map shows;
    "overlap": other texts of the image cover a tenth of it or more;
    "missed": no detection touches it;
    "merged": its detection covers half of another text too;
    "split": two detections lie mostly within it;
    "shape": none of these: the detection has another shape.
    """

    name: str
    index: int
    polygon: np.ndarray  # (N, 2): the text's own
    found: np.ndarray | None  # (M, 2): the best detection, where one touches the text
    iou: float  # with the text's own polygon, or with its minimum-area rectangle
    short_side: float  # of the text's minimum-area rectangle, pixels
    long_side: float
    reason: str

    def __str__(self) -> str:
        sides = f"{self.long_side:.0f} x {self.short_side:.1f} px"
        return f"{self.name}, text {self.index}, {sides}: IoU {self.iou:.3f}, {self.reason or 'ok'}"


def round_trip(
    images: Iterable[Texts],
    *,
    labels: Callable[[TextInstances, tuple[int, int]], Maps],
    perfect_maps: Callable[[Maps], object],
    decode: Callable[[object, tuple[int, int]], DecodedTexts],
    labelled: Callable[[Maps], bool],
    rectangles: bool,
    required_iou: float = 0.9,
) -> list[Outcome]:
    """Draw the labels of each image, decode them as a perfect prediction, compare text by text.

    Texts whose flag says "ignore" take no part, neither as something to find nor as labels.

    Args:
        images: the ground truth.
        labels: a head's label function.
        perfect_maps: from label maps to what ``decode`` takes, as a perfect network predicts it.
        decode: a head's decoder: (maps, image size) -> what is found.
        labelled: whether label maps show a text at all; asked of a text drawn alone, and only
            where the text did not come back well.
        rectangles: compare with the minimum-area rectangles of the texts (a head that answers with
            rectangles can give nothing else), not with the texts themselves.
        required_iou: what "came back" means.

    Returns:
        One outcome for each text that is not ignored.
    """
    outcomes = []
    for image in images:
        instances = image.instances()[~image.ignore]
        polygons = instances.polygons
        if not polygons:
            continue
        maps = labels(instances, image.image_size)
        found = decode(perfect_maps(maps), image.image_size).polygons
        shapes = texts = _shapes(polygons)
        if rectangles:
            texts = _shapes([cv2.boxPoints(cv2.minAreaRect(p)) for p in polygons])
        detections = _shapes(found)
        overlap = shapely.area(shapely.intersection(texts[:, None], detections[None]))
        for i, polygon in enumerate(polygons):
            iou, best, reason = _judge(i, shapes, texts, detections, overlap, image, required_iou)
            if reason and not labelled(labels(instances[[i]], image.image_size)):
                reason = "not labelled"
            sides = cv2.minAreaRect(polygon)[1]
            match = None if best is None else np.asarray(found[best])
            outcomes.append(
                Outcome(image.name, i, polygon, match, iou, min(sides), max(sides), reason)
            )
    return outcomes


def exceptions(outcomes: Iterable[Outcome], min_short_side: float = 12.0) -> list[Outcome]:
    """The texts of at least this short side that did not come back, the worst first."""
    failed = [o for o in outcomes if o.reason and o.short_side >= min_short_side]
    return sorted(failed, key=lambda o: o.iou)


def is_tie(outcome: Outcome, required_iou: float = 0.9) -> bool:
    """Whether another rectangle around the text, not 5 % larger than the smallest, came back.

    Which rectangle is the smallest around a text that is none turns on half a pixel.
    """
    ring = cv2.convexHull(outcome.polygon)[:, 0].astype(float)
    candidates = []
    for a, b in zip(ring, np.roll(ring, -1, axis=0)):
        along = (b - a) / np.linalg.norm(b - a)
        frame = np.array([along, (-along[1], along[0])])
        low, high = (ring @ frame.T).min(axis=0), (ring @ frame.T).max(axis=0)
        corners = np.array([low, (high[0], low[1]), high, (low[0], high[1])]) @ frame
        candidates.append(shapely.Polygon(corners))
    found = shapely.Polygon(outcome.found)
    limit = 1.05 * min(box.area for box in candidates)
    ious = [box.intersection(found).area / box.union(found).area for box in candidates]
    return any(v >= required_iou for v, box in zip(ious, candidates) if box.area <= limit)


def summary(outcomes: Sequence[Outcome], min_short_side: float = 12.0) -> str:
    """One line: how many texts of at least this short side, how many came back, why others not."""
    asked = [o for o in outcomes if o.short_side >= min_short_side]
    reasons = [o.reason for o in asked if o.reason]
    counts = ", ".join(f"{reasons.count(r)} {r}" for r in sorted(set(reasons)))
    return f"{len(asked) - len(reasons)} of {len(asked)} texts came back ({counts or 'all'})"


def print_round_trip(
    setting, images: Sequence[Texts], required_iou: float = 0.8, resized: bool = True
) -> None:
    """Print how the texts of images come back, and name the exceptions.

    Args:
        setting: a :class:`~.shipped_detectors.Setting`.
        images: their ground truth.
        required_iou: what "came back" means.
        resized: to the test size; else images keep their own.
    """
    outcomes = setting.outcomes(images, required_iou, resized)
    ious = np.array([o.iou for o in outcomes])
    large = np.array([o.iou for o in outcomes if o.short_side >= 12])
    print(f"{len(ious)} texts, mean IoU {ious.mean():.3f}; of 12 px and more, at {required_iou}:")
    print(f"   mean IoU {large.mean():.3f}; {summary(outcomes)}")
    for outcome in exceptions(outcomes):
        print("  ", outcome)


def _judge(i, shapes, texts, detections, overlap, image, required_iou):
    """IoU, index of the best detection and the reason for text ``i``; see :class:`Outcome`.

    ``texts`` are what detections are compared with, ``shapes`` what the labels were drawn from.
    """
    area = texts[i].area
    union = area + shapely.area(detections) - overlap[i]
    ious = overlap[i] / np.maximum(union, 1e-9)
    best = int(ious.argmax()) if len(ious) and ious.max() > 0 else None
    iou = float(ious[best]) if best is not None else 0.0
    if iou >= required_iou:
        return iou, best, ""
    height, width = image.image_size
    own = shapes[i].area
    if shapes[i].intersection(shapely.box(0, 0, width, height)).area < 0.9 * own:
        return iou, best, "outside"
    others = np.delete(np.arange(len(texts)), i)
    if shapes[i].intersection(shapely.union_all(shapes[others])).area > 0.1 * own:
        return iou, best, "overlap"
    if best is None:
        return iou, best, "missed"
    if (overlap[others, best] > 0.5 * shapely.area(texts[others])).any():
        return iou, best, "merged"
    if (overlap[i] > 0.5 * shapely.area(detections)).sum() > 1:
        return iou, best, "split"
    return iou, best, "shape"


def _shapes(polygons: Sequence[np.ndarray]) -> np.ndarray:
    shapes = np.empty(len(polygons), object)
    shapes[:] = [shapely.Polygon(p).buffer(0) for p in polygons]
    return shapes


class _RealTexts(Sequence[Texts]):
    def __init__(self, root: Path):
        self.root = root

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, item):
        if isinstance(item, slice):
            return [_real_texts(self.root, number) for number in range(1000)[item]]
        return _real_texts(self.root, range(1000)[item])


@cache
def _real_texts(root: Path, number: int) -> Texts:
    (record,) = icdar2015_dicts(root, range(number, number + 1))
    size = (720, 1280)  # the benchmark's own
    scale = np.array([size[1] / record["width"], size[0] / record["height"]])
    texts = TextInstances.from_annotations(record["annotations"])
    rings = [np.float32(polygon * scale) for polygon in texts.polygons]
    name = Path(record["file_name"]).stem
    return Texts(name, rings, texts.ignore, size, texts.words, texts.characters)


def icdar2015_texts(root: Path) -> Sequence[Texts]:
    """The ground truth of the 1000 training images, each read when it is asked for.

    Args:
        root: of the fixture ``icdar2015_root``.
    """
    return _RealTexts(root)


@lru_cache(maxsize=4)
def rendered_curved_texts(
    count: int, size: tuple[int, int] = (640, 640), seed: int = 7
) -> tuple[Texts, ...]:
    """Words on curved baselines, as the renderer of the pre-training places them."""
    settings = {
        "size": size,
        "curved": 1.0,
        "lines_per_block": (1, 1),
        "words_per_image": (2, 6),
        "empty_images": 0.0,
        "text_height": (0.05, 0.2),
        "fonts": ("matplotlib",),
        "background_kinds": ("plain",),
        "numbers": 0.0,
        "jpeg": 0.0,
    }
    images = []
    for index in range(count):
        spec = {"preset": "default", "settings": settings, "seed": seed, "index": index}
        texts = render_sample(spec)[1]
        rings = [np.float32(polygon) for polygon in texts.polygons]
        name = f"rendered {seed}:{index}"
        images.append(Texts(name, rings, texts.ignore, size, texts.words, texts.characters))
    return tuple(images)
