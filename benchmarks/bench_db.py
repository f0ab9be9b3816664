"""Timings of DB's label maps, decoding and augmentations, compared with a plain implementation.

Run ``python benchmarks/bench_db.py``. Only the ratios of one run mean something. With
``--round-trip <folder of ICDAR2015>`` it prints instead how many texts of the 1000 training images
come back from their own perfect maps, by either way of growing them.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import shapely
from detectron2.data.transforms import AugmentationList
from drawn_texts import SIZE, random_bands, random_quads, separate_quads
from early_maps import speckled, untrained
from table import Table, run

from vlpt_d2.config import get_cfg
from vlpt_d2.data.transforms import TextAugInput, build_detection_augmentation
from vlpt_d2.modeling.detection.db.decode import decode_probability_map
from vlpt_d2.modeling.detection.db.labels import draw_db_labels
from vlpt_d2.structures import TextInstances


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


def labels_of_the_reference(polygons: list, size=SIZE) -> np.ndarray:
    """The same as MhLiao/DB data/processes/make_border_map.py computes it.

    In float64, by the law of cosines: each pixel with the two ends of an edge is a triangle, whose
    angle at the pixel says whether the edge's line or one of its ends is nearest.
    """
    ramp = np.zeros(size, np.float32)
    for polygon in polygons:
        shape = shapely.Polygon(polygon)
        offset = shape.area * 0.84 / shape.length
        outer = np.asarray(shape.buffer(offset).exterior.coords)
        (x0, y0), (x1, y1) = np.floor(outer.min(0)).astype(int), np.ceil(outer.max(0)).astype(int)
        x, y = np.meshgrid(np.arange(x0, x1 + 1.0), np.arange(y0, y1 + 1.0))
        distances = np.zeros((len(polygon), *x.shape), np.float32)
        for i, (a, b) in enumerate(zip(polygon, np.roll(polygon, -1, axis=0))):
            to_a = np.square(x - a[0]) + np.square(y - a[1])
            to_b = np.square(x - b[0]) + np.square(y - b[1])
            edge = np.square(a - b).sum()
            with np.errstate(divide="ignore", invalid="ignore"):
                cosine = (edge - to_a - to_b) / (2 * np.sqrt(to_a * to_b))
                square_sine = np.nan_to_num(1 - np.square(cosine))
                distance = np.sqrt(to_a * to_b * square_sine / edge)
            ends = np.sqrt(np.fmin(to_a, to_b))
            distance[cosine < 0] = ends[cosine < 0]
            distances[i] = np.clip(distance / offset, 0, 1)
        value = 1 - distances.min(axis=0)
        left, top = max(x0, 0), max(y0, 0)
        right, bottom = min(x1 + 1, size[1]), min(y1 + 1, size[0])
        window = ramp[top:bottom, left:right]
        np.fmax(window, value[top - y0 : bottom - y0, left - x0 : right - x0], out=window)
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


def print_round_trip(root: Path) -> None:
    """Decode the perfect maps of all training images; print how the texts came back."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from helpers.round_trip import (
        exceptions,
        icdar2015_texts,
        is_tie,
        rendered_curved_texts,
        round_trip,
        summary,
    )

    curved = rendered_curved_texts(40)
    for name, images, polygon_mode in (
        ("ICDAR2015, rectangles", icdar2015_texts(root), False),
        ("ICDAR2015, polygons", icdar2015_texts(root), True),
        ("rendered curved text, polygons", curved, True),
    ):
        for unclip in ("published", "exact"):
            outcomes = round_trip(
                images,
                labels=draw_db_labels,
                perfect_maps=lambda maps: maps["text"].astype(np.float32),
                decode=lambda maps, size: decode_probability_map(
                    maps,
                    polygon_mode=polygon_mode,  # noqa: B023
                    unclip=unclip,  # noqa: B023
                    unclip_ratio=2.0 if polygon_mode else 1.5,  # noqa: B023
                ),
                labelled=lambda maps: bool(maps["text"].any()),
                rectangles=not polygon_mode,
            )
            median = np.median([o.iou for o in outcomes if o.short_side >= 12])
            print(f"{name}, {unclip}: {summary(outcomes)}, median IoU {median:.3f}")
            if unclip == "exact":
                failed = exceptions(outcomes)
                ties = 0 if polygon_mode else sum(map(is_tie, failed))
                print(f"  {ties} of them are another rectangle not 5 % larger than the smallest")
                for outcome in failed:
                    print("   ", outcome)


def fill(table: Table) -> None:
    """Measure everything."""
    rng = np.random.default_rng(0)

    for count, least in ((20, 10), (100, 50)):
        for kind, quads in (
            ("words", random_quads(rng, count)),
            ("large words", random_quads(rng, count, sides=(60, 150))),
            ("curved lines", random_bands(rng, count)),
        ):
            ours = lambda q=quads: draw_db_labels(TextInstances(q), SIZE)  # noqa: E731
            name = f"label maps, {count} {kind}"
            mine, _ = table.compare(f"{name}: edge by edge", ours, lambda: labels_by_edge(quads))  # noqa: B023
            reference = lambda q=quads: labels_of_the_reference(q)  # noqa: E731
            _, ratio = table.compare(f"{name}: reference", ours, reference)
            if count == 20:
                table.judge(name, mine, 10)
            table.judge(f"{name}, against the reference", ratio, least, "times")

    size = (736, 1280)
    quads = separate_quads(rng, 200, size)
    probability = draw_db_labels(TextInstances(quads), size)["text"] * np.float32(0.9)
    noise = cv2.GaussianBlur(rng.random(size, np.float32), (0, 0), 1) > 0.58
    noisy = probability + noise * np.float32(0.5)
    specks = cv2.connectedComponents((noisy > 0.3).astype(np.uint8))[0] - 1
    dots = np.zeros(size, np.float32)
    dots[::4, ::4] = dots[1::4, ::4] = 1
    early = [(specks, noisy), (58880, dots)]
    early += [speckled(rng, size, count)[::-1] for count in (5_000, 20_000, 50_000)]
    columns, rows = np.meshgrid(*map(np.arange, (640, 640)))
    rings = np.hypot(columns - 320, rows - 320) // 3 % 2 == 0
    net = (columns % 4 == 0) | (rows % 4 == 0)
    odd = {"a comb": (columns % 4 < 2) | (rows < 8), "rings": rings, "a net": net}
    for name, shape in odd.items():
        drawn = shape * np.float32(0.9)
        table.compare(
            f"decode {name}",
            lambda: decode_probability_map(drawn),  # noqa: B023
            lambda: decode_every_contour(drawn),  # noqa: B023
        )
    for mode, ratio in (("box", 1.5), ("polygon", 2.0)):
        for unclip in ("published", "exact"):
            decode = lambda p: decode_probability_map(  # noqa: E731
                p,
                polygon_mode=mode == "polygon",  # noqa: B023
                unclip=unclip,  # noqa: B023
                unclip_ratio=ratio,  # noqa: B023
            )
            assert len(decode(probability).polygons) == 200
            name = f"decode 200 quads, {mode}, {unclip}"
            published_box = (mode, unclip) == ("box", "published")
            plain = (lambda: decode_every_contour(probability)) if published_box else None
            mine, _ = table.compare(name, lambda: decode(probability), plain)  # noqa: B023
            if published_box:
                table.judge(name, mine, 3)
            for number, what in early:
                name = f"decode {number} regions, {mode}, {unclip}"
                table.early(name, lambda: decode(what))  # noqa: B023
        output = ("MODEL.TEXT_HEAD.OUTPUT", mode)
        head, maps = untrained("quickstart/db_icdar2015.yaml", size, output)
        name = f"decode maps of random weights, {mode}"
        table.early(name, lambda: head.decode(maps, size))  # noqa: B023

    image = rng.integers(0, 255, (720, 1280, 3), dtype=np.uint8)
    augmentations = AugmentationList(build_detection_augmentation(get_cfg(), True))
    texts = TextInstances(random_quads(rng, 12, image.shape[:2]))

    def at_once() -> None:
        np.random.seed(3)
        inputs = TextAugInput(image, texts)
        augmentations(inputs)
        assert inputs.image.shape == (640, 640, 3)

    def step_by_step() -> None:
        np.random.seed(3)
        inputs = TextAugInput(image, texts)
        for augmentation in augmentations.augs:
            augmentation(inputs)
            assert inputs.image.size

    table.compare("augment 720 x 1280", at_once, step_by_step)


if __name__ == "__main__":
    run(__doc__, fill, print_round_trip)
