"""Timings of PSENet's label maps, expansion and decoding, compared with a plain implementation.

Run ``python benchmarks/bench_psenet.py``. Only the ratios of one run mean something. Lines whose
other side is a library that is not installed (pyclipper, scikit-image) are left out. With
``--round-trip datasets/icdar2015`` it decodes the perfect maps of all training images instead.
"""

import importlib.util
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import shapely
from drawn_texts import SIZE, random_quads, separate_quads
from early_maps import speckled, untrained
from table import Table, run

from vlpt_d2.modeling.detection.psenet.decode import decode_kernel_maps
from vlpt_d2.modeling.detection.psenet.expansion import expand_kernels
from vlpt_d2.modeling.detection.psenet.labels import draw_psenet_labels, kernel_scales
from vlpt_d2.structures import TextInstances

SCALES = kernel_scales(7, 0.4)[1:]


def labels_by_shapely(polygons: list, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Kernels as polygons offset inward one by one, then filled."""
    maps = np.zeros((len(SCALES), *size), np.uint8)
    for polygon in polygons:
        shape = shapely.Polygon(polygon)
        for scale, target in zip(SCALES, maps):
            offset = min(shape.area * (1 - scale**2) / shape.length, 20)
            for part in shapely.get_parts(shape.buffer(-offset)):
                if not part.is_empty:
                    ring = np.round(np.asarray(part.exterior.coords)).astype(np.int32)
                    cv2.fillPoly(target, [ring], 1)
    return maps


def labels_by_pyclipper(polygons: list, size: tuple[int, int] = SIZE) -> np.ndarray:
    """The same through the library the reference uses, on whole pixels."""
    import pyclipper

    maps = np.zeros((len(SCALES), *size), np.uint8)
    for polygon in polygons:
        area, perimeter = cv2.contourArea(polygon), cv2.arcLength(polygon, True)
        for scale, target in zip(SCALES, maps):
            clipper = pyclipper.PyclipperOffset()
            ring = np.round(polygon).astype(int).tolist()
            clipper.AddPath(ring, pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
            offset = min(round(area * (1 - scale**2) / perimeter), 20)
            for part in clipper.Execute(-offset):
                cv2.fillPoly(target, [np.array(part, np.int32)], 1)
    return maps


def expand_pixel_by_pixel(labels: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """The definition of the expansion: a queue of single pixels for each kernel."""
    out = np.pad(labels, 1)
    for kernel in np.pad(kernels, ((0, 0), (1, 1), (1, 1))):
        queue = deque(map(tuple, np.argwhere(out)))
        while queue:
            y, x = queue.popleft()
            for neighbour in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if kernel[neighbour] and not out[neighbour]:
                    out[neighbour] = out[y, x]
                    queue.append(neighbour)
    return out[1:-1, 1:-1]


def boxes_label_by_label(labels: np.ndarray, probability: np.ndarray) -> list:
    """Score and rectangle of each text by a search through the whole map, as the reference's."""
    boxes = []
    for label in range(1, labels.max() + 1):
        pixels = labels == label
        if pixels.sum() >= 16 and probability[pixels].mean() >= 0.85:
            points = np.argwhere(pixels)[:, ::-1].astype(np.int32)
            boxes.append(cv2.boxPoints(cv2.minAreaRect(points)))
    return boxes


def expand_by_watershed() -> Callable | None:
    """scikit-image's watershed on the number of kernels a pixel is outside of, if it is there."""
    if importlib.util.find_spec("skimage") is None:
        return None
    from skimage.segmentation import watershed

    return lambda labels, kernels: watershed(
        len(kernels) - np.sum(kernels, axis=0), labels, mask=kernels[-1], connectivity=1
    )


def perfect_maps(polygons: list, size: tuple[int, int], stride: int) -> np.ndarray:
    """What a perfect network predicts at a stride, in [0, 0.95]."""
    maps = draw_psenet_labels(TextInstances(polygons), size)
    maps = np.concatenate([maps["text"][None], maps["kernels"]]).astype(np.float32)
    small = (size[1] // stride, size[0] // stride)
    return 0.95 * np.stack([cv2.resize(m, small, interpolation=cv2.INTER_AREA) for m in maps])


def print_round_trip(root: Path) -> None:
    """Decode the perfect maps of all training images; print how the texts came back."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from helpers.round_trip import exceptions, icdar2015_texts, is_tie, round_trip, summary

    for polygon_mode in (False, True):
        outcomes = round_trip(
            icdar2015_texts(root),
            labels=draw_psenet_labels,
            perfect_maps=lambda maps: np.float32([maps["text"], *maps["kernels"]]),
            decode=lambda maps, size: decode_kernel_maps(
                maps,
                polygon_mode=polygon_mode,  # noqa: B023
                min_kernel_area=0,
            ),
            labelled=lambda maps: bool(maps["kernels"][-1].any()),
            rectangles=not polygon_mode,
        )
        print("polygons:" if polygon_mode else "rectangles:", summary(outcomes))
        failed = [o for o in exceptions(outcomes) if o.reason == "shape"]
        if not polygon_mode:
            ties = sum(map(is_tie, failed))
            print(f"  {ties} of the shapes are another rectangle not 5 % larger than the smallest")
            failed = [o for o in failed if not is_tie(o)]
        for outcome in failed:
            print("  ", outcome)


def fill(table: Table) -> None:
    """Measure everything."""
    rng = np.random.default_rng(0)

    for count in (20, 100):
        for kind, sides in (("words", (12, 60)), ("large words", (60, 150))):
            quads = random_quads(rng, count, sides=sides)
            ours = lambda q=quads: draw_psenet_labels(TextInstances(q), SIZE)  # noqa: E731
            name = f"6 kernels, {count} {kind}, 640 x 640"
            other = lambda q=quads: labels_by_shapely(q)  # noqa: E731
            mine, _ = table.compare(f"{name}: shapely", ours, other)
            if count == 20:
                table.judge(name, mine, 10)
            if importlib.util.find_spec("pyclipper") is not None:
                table.compare(f"{name}: pyclipper", ours, lambda q=quads: labels_by_pyclipper(q))

    watershed = expand_by_watershed()
    size = (736, 1280)
    for stride, kind in ((4, "apart"), (4, "overlapping"), (1, "overlapping")):
        if kind == "apart":
            quads = separate_quads(rng, 30, size)
        else:
            quads = random_quads(rng, 30, size, sides=(32, 90))
        maps = perfect_maps(quads, size, stride)
        kernels = (maps > 0.5) & (maps[0] > 0.5)
        seeds = cv2.connectedComponents(kernels[-1].view(np.uint8), connectivity=4)[1]
        grown = expand_kernels(seeds, kernels[-2::-1])
        where = f"{seeds.max()} texts {kind}, stride {stride}"
        slow = None if stride == 1 else lambda: expand_pixel_by_pixel(seeds, kernels[-2::-1])  # noqa: B023
        ours = lambda: expand_kernels(seeds, kernels[-2::-1])  # noqa: B023, E731
        table.compare(f"expansion, {where}: plain queue", ours, slow)
        if watershed is not None:
            other = lambda: watershed(seeds, kernels[-2::-1])  # noqa: B023, E731
            table.compare(f"expansion, {where}: scikit-image", ours, other)
            same = np.mean(other()[grown > 0] == grown[grown > 0])
            print(f"    watershed agrees on {100 * same:.2f} % of the pixels")
        for polygon_mode in (False, True):
            plain = lambda: boxes_label_by_label(grown, maps[0])  # noqa: B023, E731
            name = f"whole decoding, {where}, {'polygon' if polygon_mode else 'box'}"
            mine, _ = table.compare(
                name,
                lambda: decode_kernel_maps(maps, stride=stride, polygon_mode=polygon_mode),  # noqa: B023
                None if polygon_mode else plain,
            )
            if stride == 4 and not polygon_mode:
                table.judge(name, mine, 3)

    # A network in its first epochs: specks everywhere, nested in nothing, or all text but kernels
    # of specks.
    for stride in (4, 2, 1):
        shape = (size[0] // stride, size[1] // stride)
        for count in (5_000, 20_000, 50_000):
            maps, numbers = zip(*(speckled(rng, shape, count, 4) for _ in range(7)))
            noise = np.stack(maps)
            full = np.concatenate([np.full((1, *shape), 0.9, np.float32), noise[1:]])
            for name, maps in (("specks", noise), ("specks in one text", full)):
                table.early(
                    f"decode {numbers[-1]} {name}, stride {stride}",
                    lambda: decode_kernel_maps(maps, stride=stride),  # noqa: B023
                )
    for stride in (4, 2, 1):
        keys = ("MODEL.PSENET.DECODE_STRIDE", stride, "MODEL.PSENET.SCORE_THRESH", 0.3)
        head, maps = untrained("quickstart/psenet_icdar2015.yaml", size, keys)
        name = f"decode maps of random weights, stride {stride}"
        table.early(name, lambda: head.decode(maps, size))  # noqa: B023


if __name__ == "__main__":
    run(__doc__, fill, print_round_trip, other="other")
