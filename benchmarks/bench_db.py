"""Timings of DB's label maps, decoding and augmentations, each beside the plain formulation.

Run ``python benchmarks/bench_db.py``. Only the ratios of one run mean something.
"""

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
from detectron2.data.transforms import AugmentationList

from vlpt_d2.config import get_cfg
from vlpt_d2.data.transforms import TextAugInput, build_detection_augmentation
from vlpt_d2.modeling.detection.db import decode_probability_map, draw_db_labels

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


def labels_by_edge(polygons: list, size=SIZE) -> np.ndarray:
    """Threshold map from the distance of every pixel near a text to every edge, in numpy."""
    ramp = np.zeros(size, np.float32)
    for polygon in polygons:
        offset = cv2.contourArea(polygon) * 0.84 / cv2.arcLength(polygon, True)
        x0, y0 = np.maximum(np.floor(polygon.min(0) - offset), 0).astype(int)
        x1, y1 = np.minimum(np.ceil(polygon.max(0) + offset), size[::-1]).astype(int)
        centres = np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), -1) + 0.5
        distances = []
        for start, end in zip(polygon, np.roll(polygon, -1, axis=0)):
            edge, to_start = end - start, centres - start
            along = np.clip(to_start @ edge / max(edge @ edge, 1e-9), 0, 1)
            distances.append(np.linalg.norm(to_start - along[..., None] * edge, axis=-1))
        value = np.clip(1 - np.min(distances, axis=0) / offset, 0, 1)
        ramp[y0:y1, x0:x1] = np.maximum(ramp[y0:y1, x0:x1], value)
    return ramp


def decode_every_contour(probability: np.ndarray) -> int:
    """Rectangle and score of every contour above the threshold, specks included."""
    binary = (probability > 0.3).astype(np.uint8)
    contours, _ = cv2.findContours(binary, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = 0
    for contour in contours:
        box = cv2.boxPoints(cv2.minAreaRect(contour))
        low, high = np.floor(box.min(0)).astype(int), np.ceil(box.max(0)).astype(int)
        low, high = np.maximum(low, 0), np.maximum(high, 0)
        mask = np.zeros((high - low + 1)[::-1], np.uint8)
        cv2.fillPoly(mask, [(box - low).astype(np.int32)], 1)
        part = probability[low[1] : high[1] + 1, low[0] : high[0] + 1]
        found += cv2.mean(part, mask[: part.shape[0], : part.shape[1]])[0] > 0.6
    return found


def measure(function: Callable, seconds: float) -> float:
    """Median processor milliseconds of a call, over as many calls as fit the time.

    The processor's time hardly knows of other programs that run meanwhile.
    """
    function()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return 1e3 * float(np.median(times))


def compare(name: str, ours: Callable, plain: Callable | None, seconds: float) -> None:
    """Print one line of the table."""
    mine = measure(ours, seconds)
    line = f"{name:<44} {mine:9.2f} ms"
    if plain is not None:
        other = measure(plain, seconds)
        line += f" {other:9.2f} ms {other / mine:7.1f}x"
    print(line, flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each measurement")
    seconds = parser.parse_args().seconds
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    print(f"{'':<44} {'ours':>12} {'plain':>12} {'ratio':>8}")

    for count in (20, 100):
        for kind, sides in (("words", (12, 60)), ("large words", (60, 150))):
            quads = random_quads(rng, count, sides=sides)
            compare(
                f"label maps, {count} {kind}, 640 x 640",
                lambda q=quads: draw_db_labels(q, np.zeros(len(q), bool), SIZE),
                lambda q=quads: labels_by_edge(q),
                seconds,
            )

    size = (736, 1280)
    quads = random_quads(rng, 200, size)
    probability = draw_db_labels(quads, np.zeros(200, bool), size)["text"] * np.float32(0.9)
    compare(
        "decode 200 quads, box mode", lambda: decode_probability_map(probability), None, seconds
    )
    compare(
        "decode 200 quads, polygon mode",
        lambda: decode_probability_map(probability, polygon_mode=True, unclip_ratio=2.0),
        None,
        seconds,
    )
    noisy = probability + (cv2.GaussianBlur(rng.random(size, np.float32), (0, 0), 1) > 0.58) * 0.5
    specks = cv2.connectedComponents((noisy > 0.3).astype(np.uint8))[0] - 1
    compare(
        f"decode a noisy map, {specks} regions",
        lambda: decode_probability_map(noisy),
        lambda: decode_every_contour(noisy),
        seconds,
    )

    image = rng.integers(0, 255, (720, 1280, 3), dtype=np.uint8)
    augmentations = AugmentationList(build_detection_augmentation(get_cfg(), True))
    texts = random_quads(rng, 12, image.shape[:2])

    def at_once() -> None:
        np.random.seed(3)
        inputs = TextAugInput(image, texts, np.zeros(12, bool))
        augmentations(inputs)
        assert inputs.image.shape == (640, 640, 3)

    def step_by_step() -> None:
        np.random.seed(3)
        inputs = TextAugInput(image, texts, np.zeros(12, bool))
        for augmentation in augmentations.augs:
            augmentation(inputs)
            assert inputs.image.size

    compare("augment 720 x 1280", at_once, step_by_step, seconds)


if __name__ == "__main__":
    main()
