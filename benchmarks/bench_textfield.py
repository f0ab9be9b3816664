"""Timings of TextField's label maps and decoding, compared with the published steps pixel by pixel.

Run ``python benchmarks/bench_textfield.py``. Only the ratios of one run mean something.
``--round-trip FOLDER``, the folder of ICDAR2015, decodes perfect maps of its 1000 training images,
as boxes and as polygons, and of rendered curved words instead, and names the texts that do not
come back.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from drawn_texts import SIZE, label_cases, random_quads, separate_quads
from early_maps import speckled, untrained
from scipy import ndimage
from table import Table, run

from vlpt_d2.engine import load_config
from vlpt_d2.modeling.detection.textfield.decode import decode_direction_field, group_pixels
from vlpt_d2.modeling.detection.textfield.labels import draw_textfield_labels
from vlpt_d2.structures import TextInstances

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from helpers.round_trip import icdar2015_texts, print_round_trip, rendered_curved_texts
from helpers.shipped_detectors import Setting
from helpers.textfield_by_pixel import group_by_pixel


def labels_by_transform(polygons: list, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Directions as the reference draws them: a distance transform of the whole map for each."""
    direction = np.zeros((2, size[0] // 2, size[1] // 2), np.float32)
    for polygon in polygons:
        inside = np.zeros(direction.shape[1:], np.uint8)
        cv2.fillPoly(inside, [np.round(polygon / 2).astype(np.int32)], 1)
        _, (rows, columns) = ndimage.distance_transform_edt(inside, return_indices=True)
        y, x = np.mgrid[: inside.shape[0], : inside.shape[1]]
        vector = np.stack([x - columns, y - rows]).astype(np.float32)
        vector /= np.maximum(np.hypot(*vector), 1e-6)
        direction[:, inside > 0] = vector[:, inside > 0]
    return direction


def field_of(polygons: list, size: tuple[int, int]) -> np.ndarray:
    """What a perfect network predicts."""
    return draw_textfield_labels(TextInstances(polygons), size)["direction"].astype(np.float32)


def round_trips(root: Path) -> None:
    """Decode perfect maps of all images; print how the texts came back."""
    boxes, polygons = (
        Setting(load_config(f"detection/{name}/textfield_R_50.yaml"))
        for name in ("icdar2015", "total_text")
    )
    print_round_trip(boxes, icdar2015_texts(root))
    print_round_trip(polygons, icdar2015_texts(root))
    print_round_trip(polygons, rendered_curved_texts(40))


def fill(table: Table) -> None:
    """Measure everything."""
    rng = np.random.default_rng(0)
    for kind, polygons in label_cases(rng).items():
        name = f"label maps, 20 {kind}, 640 x 640"
        ours = lambda p=polygons: draw_textfield_labels(TextInstances(p), SIZE)  # noqa: E731
        mine, _ = table.compare(name, ours, lambda p=polygons: labels_by_transform(p))
        table.judge(name, mine, 10)

    size = (736, 1280)
    for kind, polygons in (
        ("words", random_quads(rng, 30, size)),
        ("large words", separate_quads(rng, 30, size)),
    ):
        field = field_of(polygons, size)
        text = np.hypot(*field) > 0.5
        _, ratio = table.compare(
            f"groups of 30 {kind}",
            lambda: group_pixels(field, text, 2),  # noqa: B023
            lambda: group_by_pixel(field, text, 2),  # noqa: B023
        )
        table.judge(f"groups of 30 {kind}, against pixel by pixel", ratio, 10, "times")
        for polygon_mode in (False, True):
            name = f"decode 30 {kind}, {'polygon' if polygon_mode else 'box'}"
            decode = lambda: decode_direction_field(field, stride=2, polygon_mode=polygon_mode)  # noqa: B023, E731
            mine, _ = table.compare(name, decode)
            table.judge(name, mine, 20)

    shape = (size[0] // 2, size[1] // 2)
    for count in (5_000, 15_000, 30_000):
        magnitude, number = speckled(rng, shape, count)
        angle = 2 * np.pi * rng.random(shape, np.float32)
        specks = magnitude * np.stack([np.cos(angle), np.sin(angle)])
        table.early(
            f"decode {number} specks",
            lambda: decode_direction_field(specks, stride=2, polygon_mode=True),  # noqa: B023
        )
    noise = np.stack([np.cos(angle), np.sin(angle)])
    texts = group_pixels(noise, np.ones(shape, bool), 2).max()
    table.early(
        f"decode noise without a gap, {texts} groups",
        lambda: decode_direction_field(noise, stride=2, polygon_mode=True),
    )
    keys = ("MODEL.TEXTFIELD.MAGNITUDE_THRESH", 0.1)
    head, maps = untrained("detection/total_text/textfield_R_50.yaml", size, keys)
    table.early("decode maps of random weights", lambda: head.decode(maps, size))


if __name__ == "__main__":
    run(__doc__, fill, round_trips)
