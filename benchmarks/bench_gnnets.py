"""Timings of GNNets' label maps and decoding, compared with EAST's of one branch.

Run ``python benchmarks/bench_gnnets.py``. Only the ratios of one run mean something.
``--round-trip FOLDER``, the folder of ICDAR2015, decodes perfect maps of its 1000 training images
and of rendered curved words instead, and names the texts that do not come back.
"""

import sys
from pathlib import Path

import numpy as np
from bench_east import perturbed_maps
from drawn_texts import SIZE, random_quads, separate_quads
from early_maps import speckled, untrained
from table import Table, run

from vlpt_d2.engine import load_config
from vlpt_d2.modeling.detection.east.decode import decode_east_maps
from vlpt_d2.modeling.detection.east.labels import draw_east_labels
from vlpt_d2.modeling.detection.gnnets.labels import draw_gnnets_labels
from vlpt_d2.structures import TextInstances

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from helpers.round_trip import icdar2015_texts, print_round_trip, rendered_curved_texts
from helpers.shipped_detectors import Setting

TEST_SIZE = (736, 1280)
CONFIG = "detection/icdar2015/gnnets_R_50.yaml"


def round_trips(root: Path) -> None:
    """Decode perfect maps of all images; print how the texts came back."""
    setting = Setting(load_config(CONFIG))
    print_round_trip(setting, icdar2015_texts(root))
    print_round_trip(setting, rendered_curved_texts(40), resized=False)


def perturbed(setting: Setting, quads: list, rng: np.random.Generator) -> dict:
    """Maps as a trained network predicts them: nearly right."""
    maps = setting.perfect(setting.labels(TextInstances(quads), TEST_SIZE))
    for name, values in maps.items():
        noise = rng.uniform(0.82, 1, values.shape)
        if name.startswith("geometry"):
            noise = rng.normal(1, 0.08, values.shape)
        values *= values.new_tensor(noise)
    return maps


def fill(table: Table) -> None:
    """Measure everything."""
    rng = np.random.default_rng(0)
    setting = Setting(load_config(CONFIG))
    head = setting.head
    for count in (20, 100):
        texts = TextInstances(random_quads(rng, count))
        name = f"label maps, {count} words, 640 x 640"
        mine, _ = table.compare(
            name,
            lambda t=texts: draw_gnnets_labels(t, SIZE),
            lambda t=texts: draw_east_labels(t, SIZE),
        )
        if count == 20:
            table.judge(name, mine, 10)
    for count in (30, 105):
        quads = separate_quads(rng, count, TEST_SIZE)
        maps, east = perturbed(setting, quads, rng), perturbed_maps(rng, quads)
        name = f"decode {count} texts"
        mine, _ = table.compare(
            name,
            lambda m=maps: head.decode(m, TEST_SIZE),
            lambda m=east: decode_east_maps(*m),
        )
        if count == 30:
            table.judge(name, mine, 20)
    # Rectangles of every size that a branch keeps, at every cell.
    maps = {}
    for name, values in perturbed(setting, [], rng).items():
        if name.startswith("score"):
            specks = [speckled(rng, tuple(values.shape[1:]), 20_000, 4) for _ in values]
            maps[name] = values.new_tensor(np.stack([score for score, _ in specks]))
            continue
        low, high = (2, 24) if name == "geometry_4" else (9, 60)
        noise = rng.uniform(low, high, (4, 5, *values.shape[1:]))
        noise[:, 4] = rng.normal(0, 0.5, noise[:, 4].shape)
        maps[name] = values.new_tensor(noise).flatten(0, 1)
    cells = sum(int((maps[f"score_{stride}"] > 0.8).sum()) for stride in (4, 8))
    table.early(f"early map, {cells} cells in specks", lambda m=maps: head.decode(m, TEST_SIZE))
    random, maps = untrained(CONFIG, TEST_SIZE)
    table.early("maps of random weights", lambda: random.decode(maps, TEST_SIZE))
    random.decoding["score_thresh"] = 0.0
    table.early("the same, every cell", lambda: random.decode(maps, TEST_SIZE))


if __name__ == "__main__":
    run(__doc__, fill, round_trips, other="EAST")
