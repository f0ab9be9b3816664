"""Timings of CRAFT's label maps and decoding, compared with a plain implementation.

Run ``python benchmarks/bench_craft.py``. Only the ratios of one run mean something.
``--round-trip FOLDER``, the folder of ICDAR2015, decodes perfect maps of its 1000 training images,
words split evenly, and of rendered curved words with their characters instead, and names the texts
that do not come back.
"""

import sys
from pathlib import Path

import numpy as np
from drawn_texts import SIZE, random_quads, separate_quads
from early_maps import speckled, untrained
from table import Table, run

from vlpt_d2.engine import load_config
from vlpt_d2.modeling.detection.craft.decode import decode_craft_maps
from vlpt_d2.modeling.detection.craft.labels import draw_craft_labels, split_evenly
from vlpt_d2.structures import TextInstances

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from helpers.round_trip import icdar2015_texts, print_round_trip, rendered_curved_texts
from helpers.shipped_detectors import Setting
from helpers.slow_craft import affinity_quad, gaussian_of, published_boxes

TEST_SIZE = (736, 1280)
CONFIG = "detection/icdar2015/craft_R_50.yaml"


def labels_by_pixel(quads: list) -> np.ndarray:
    """Both maps, a pixel of a character's box at a time."""
    maps = np.zeros((2, SIZE[0] // 2, SIZE[1] // 2), np.float32)
    for quad in quads:
        characters = split_evenly(quad, 6)
        links = [affinity_quad(a, b) for a, b in zip(characters, characters[1:])]  # noqa: RUF007
        for image, boxes in zip(maps, (characters, links)):
            for box in boxes:
                low, high = box.min(axis=0) / 2 - 4, box.max(axis=0) / 2 + 4
                for row in range(max(int(low[1]), 0), min(int(high[1]), SIZE[0] // 2)):
                    for column in range(max(int(low[0]), 0), min(int(high[0]), SIZE[1] // 2)):
                        value = gaussian_of(box, row, column)
                        image[row, column] = max(image[row, column], value)
    return maps


def round_trips(root: Path) -> None:
    """Decode perfect maps of all images; print how the texts came back."""
    print_round_trip(Setting(load_config(CONFIG)), icdar2015_texts(root))
    setting = Setting(load_config(CONFIG, ["MODEL.TEXT_HEAD.OUTPUT", "polygon"]))
    print_round_trip(setting, rendered_curved_texts(40), resized=False)


def fill(table: Table) -> None:
    """Measure everything."""
    rng = np.random.default_rng(0)
    for count in (20, 100):
        quads = random_quads(rng, count)
        texts = TextInstances(quads, words=["sixler"] * count)
        name = f"label maps, {count} words of 6, 640 x 640"
        plain = (lambda q=quads: labels_by_pixel(q)) if count == 20 else None
        mine, _ = table.compare(name, lambda t=texts: draw_craft_labels(t, SIZE), plain)
        if count == 20:
            table.judge(name, mine, 20)
    for count in (30, 105):
        quads = separate_quads(rng, count, TEST_SIZE)
        texts = TextInstances(quads, words=["sixler"] * count)
        maps = draw_craft_labels(texts, TEST_SIZE)
        noise = rng.normal(0, 0.02, maps["region"].shape).astype(np.float32)
        region, affinity = np.clip(maps["region"] + noise, 0, 1), maps["affinity"]
        for polygons in (False, True):
            name = f"decode {count} texts" + ", polygons" * polygons
            mine, _ = table.compare(
                name,
                lambda m=(region, affinity), p=polygons: decode_craft_maps(*m, polygon_mode=p),
                None if polygons else lambda m=(region, affinity): published_boxes(*m),
            )
            if count == 30:
                table.judge(name, mine, 20)
    grid = tuple(side // 2 for side in TEST_SIZE)
    for count in (5_000, 20_000, 50_000):
        specks, number = speckled(rng, grid, count, 4)
        links, _ = speckled(rng, grid, count, 4)
        for polygons in (False, True):
            table.early(
                f"early map, {number} specks" + ", polygons" * polygons,
                lambda m=(specks, links), p=polygons: decode_craft_maps(*m, polygon_mode=p),
            )
    head, maps = untrained(CONFIG, TEST_SIZE)
    table.early("maps of random weights", lambda: head.decode(maps, TEST_SIZE))
    head.decoding |= {"low_text": 0.01, "text_thresh": 0.02, "link_thresh": 0.01}
    table.early("the same, low thresholds", lambda: head.decode(maps, TEST_SIZE))


if __name__ == "__main__":
    run(__doc__, fill, round_trips)
