"""Timings of SegLink's label maps and decoding, compared with a plain implementation.

Run ``python benchmarks/bench_seglink.py``. Only the ratios of one run mean something.
``--round-trip FOLDER``, the folder of ICDAR2015, decodes perfect maps of its 1000 training images
at 1280 x 768 and of rendered curved words instead, and names the texts that do not come back.
"""

import sys
from pathlib import Path

import numpy as np
from drawn_texts import SIZE, random_quads, separate_quads
from early_maps import speckled, untrained
from table import Table, run

from vlpt_d2.engine import load_config
from vlpt_d2.modeling.detection.rectangles import rectangle_corners, text_rectangles
from vlpt_d2.modeling.detection.seglink.labels import draw_seglink_labels
from vlpt_d2.structures import TextInstances

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from helpers.round_trip import icdar2015_texts, print_round_trip, rendered_curved_texts
from helpers.shipped_detectors import Setting
from helpers.slow_seglink import decode_one_by_one, slow_labels

TEST_SIZE = (736, 1280)
CONFIG = "detection/icdar2015/seglink_R_50.yaml"


def round_trips(root: Path) -> None:
    """Decode perfect maps of all images; print how the texts came back."""
    setting = Setting(load_config(CONFIG))
    print_round_trip(setting, icdar2015_texts(root))
    print_round_trip(setting, rendered_curved_texts(40), resized=False)


def perturbed(setting: Setting, quads: list, rng: np.random.Generator) -> dict:
    """Maps as a trained network predicts them: nearly right."""
    maps = setting.perfect(setting.labels(TextInstances(quads), TEST_SIZE))
    for level in maps.values():
        noise = rng.normal(0, 0.02, level.shape).astype(np.float32)
        level += level.new_tensor(abs(noise)) * (0.5 - level).sign()
    return maps


def arrays(maps: dict) -> list[np.ndarray]:
    """The maps as the plain decoding takes them."""
    return [level.numpy() for level in maps.values()]


def fill(table: Table) -> None:
    """Measure everything."""
    rng = np.random.default_rng(0)
    setting = Setting(load_config(CONFIG))
    head = setting.head
    for count in (20, 100):
        quads = random_quads(rng, count)
        name = f"label maps, {count} words, 640 x 640"
        corners = rectangle_corners(*text_rectangles(quads))
        mine, _ = table.compare(
            name,
            lambda q=quads: draw_seglink_labels(TextInstances(q), SIZE),
            lambda c=corners: [slow_labels(box, SIZE, level) for box in c for level in range(6)],
        )
        if count == 20:
            table.judge(name, mine, 10)
    for count in (30, 105):
        maps = perturbed(setting, separate_quads(rng, count, TEST_SIZE), rng)
        name = f"decode {count} texts"
        mine, _ = table.compare(
            name,
            lambda m=maps: head.decode(m, TEST_SIZE),
            lambda m=maps: decode_one_by_one(arrays(m)),
        )
        if count == 30:
            table.judge(name, mine, 20)
    for links in (0.5, 0.9):
        maps = {}
        for name, level in perturbed(setting, [], rng).items():
            grid = tuple(level.shape[1:])
            level[0] = level.new_tensor(speckled(rng, grid, 50_000)[0])
            level[7:] = level.new_tensor(rng.uniform(0, 0.7 / links, (len(level) - 7, *grid)))
            maps[name] = level
        cells = sum(int((level[0] > 0.9).sum()) for level in maps.values())
        table.early(
            f"early map, {cells} segments, {1 - links:.0%} linked",
            lambda m=maps: head.decode(m, TEST_SIZE),
        )
    random, maps = untrained(CONFIG, TEST_SIZE)
    table.early("maps of random weights", lambda: random.decode(maps, TEST_SIZE))
    random.decoding |= {"segment_thresh": 0.0, "link_thresh": 0.5}
    table.early("the same, every cell", lambda: random.decode(maps, TEST_SIZE))


if __name__ == "__main__":
    run(__doc__, fill, round_trips)
