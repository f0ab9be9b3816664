"""Timings of TextDragon's label maps and decoding, compared with a loop over the boxes.

Run ``python benchmarks/bench_textdragon.py``. Only the ratios of one run mean something. With
``--round-trip datasets/icdar2015`` it decodes the perfect maps of all training images, and of
rendered curved text, instead.
"""

import sys
from pathlib import Path

import numpy as np
from drawn_texts import (
    SIZE,
    label_cases,
    separate_bands,
    separate_quads,
)
from early_maps import speckled, untrained
from table import Table, run

from vlpt_d2.engine import load_config
from vlpt_d2.modeling.detection.textdragon.decode import STRIDE, decode_dragon_maps
from vlpt_d2.modeling.detection.textdragon.labels import draw_dragon_labels
from vlpt_d2.structures import TextInstances

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from helpers.plain_textdragon import plain_dragons
from helpers.round_trip import icdar2015_texts, print_round_trip, rendered_curved_texts
from helpers.shipped_detectors import Setting


def round_trips(root: Path) -> None:
    """Decode perfect maps of all texts; print how they came back."""
    for config in ("icdar2015", "total_text"):  # boxes, polygons
        setting = Setting(load_config(f"detection/{config}/textdragon_R_50.yaml"))
        print_round_trip(setting, icdar2015_texts(root))
    print_round_trip(setting, rendered_curved_texts(40))


def fill(table: Table) -> None:
    """Measure everything."""
    rng = np.random.default_rng(0)
    for kind, polygons in label_cases(rng).items():
        table.compare(
            f"label maps, 20 {kind}, 640 x 640",
            lambda: draw_dragon_labels(TextInstances(polygons), SIZE),  # noqa: B023
        )

    size = (736, 1280)
    for kind, polygons in (
        ("words", separate_quads(rng, 30, size)),
        ("curved lines", separate_bands(rng, 30, size)),
    ):
        targets = draw_dragon_labels(TextInstances(polygons), size)
        maps = [np.float32(targets[name]) for name in ("text", "geometry")]
        for polygon_mode in (False, True):
            decode = lambda: decode_dragon_maps(*maps, polygon_mode=polygon_mode)  # noqa: B023, E731
            assert len(decode()[0].polygons) == 30
            name = f"decode 30 {kind}, {'polygon' if polygon_mode else 'box'}"
            mine, ratio = table.compare(name, decode, lambda: plain_dragons(*maps))  # noqa: B023
            table.judge(name, mine, 20)
            table.judge(f"{name}, against the loop", ratio, 10, "times")

    shape = (size[0] // STRIDE, size[1] // STRIDE)
    angle = rng.uniform(-np.pi, np.pi, shape)
    geometry = np.float32([*rng.uniform(0, 24, (4, *shape)), np.cos(angle), np.sin(angle)])
    for count in (1_000, 2_000, 50_000):
        specks, number = speckled(rng, shape, count)
        name = f"decode {number} specks"
        table.early(name, lambda: decode_dragon_maps(specks, geometry))  # noqa: B023
    head, maps = untrained("detection/icdar2015/textdragon_R_50.yaml", size)
    head.decoding["score_thresh"] = 0.0
    for thresh in (0.02, 0.0):
        head.decoding["centre_thresh"] = thresh
        table.early(
            f"decode maps of random weights above {thresh}", lambda: head.decode(maps, size)
        )


if __name__ == "__main__":
    run(__doc__, fill, round_trips)
