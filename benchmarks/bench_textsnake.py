"""Timings of TextSnake's label maps and decoding, compared with the paper's step by step.

Run ``python benchmarks/bench_textsnake.py``. Only the ratios of one run mean something. With
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
from vlpt_d2.modeling.detection.textsnake.decode import STRIDE, decode_snake_maps
from vlpt_d2.modeling.detection.textsnake.labels import draw_snake_labels
from vlpt_d2.structures import TextInstances

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from helpers.plain_textsnake import plain_snakes
from helpers.round_trip import icdar2015_texts, print_round_trip, rendered_curved_texts
from helpers.shipped_detectors import Setting


def perfect_maps(polygons: list, size: tuple[int, int]) -> list[np.ndarray]:
    """What a perfect network predicts: text, centre line, geometry."""
    maps = draw_snake_labels(TextInstances(polygons), size)
    return [np.float32(maps[name]) for name in ("text", "centre", "geometry")]


def round_trips(root: Path) -> None:
    """Decode perfect maps of all texts; print how they came back."""
    for config in ("icdar2015", "total_text"):  # boxes, polygons
        setting = Setting(load_config(f"detection/{config}/textsnake_R_50.yaml"))
        print_round_trip(setting, icdar2015_texts(root))
    print_round_trip(setting, rendered_curved_texts(40))


def fill(table: Table) -> None:
    """Measure everything."""
    rng = np.random.default_rng(0)
    for kind, polygons in label_cases(rng).items():
        table.compare(
            f"label maps, 20 {kind}, 640 x 640",
            lambda: draw_snake_labels(TextInstances(polygons), SIZE),  # noqa: B023
        )

    size = (736, 1280)
    for kind, polygons in (
        ("words", separate_quads(rng, 30, size)),
        ("curved lines", separate_bands(rng, 30, size)),
    ):
        maps = perfect_maps(polygons, size)
        # The paper's maps have the size of the image.
        whole = [m.repeat(STRIDE, axis=-2).repeat(STRIDE, axis=-1) for m in maps]
        for polygon_mode in (False, True):
            decode = lambda: decode_snake_maps(*maps, polygon_mode=polygon_mode)  # noqa: B023, E731
            assert len(decode().polygons) == 30
            name = f"decode 30 {kind}, {'polygon' if polygon_mode else 'box'}"
            plain = lambda: plain_snakes(*whole, stride=1)  # noqa: B023, E731
            mine, ratio = table.compare(name, decode, plain)
            table.judge(name, mine, 20)
            table.judge(f"{name}, against the paper's", ratio, 10, "times")

    shape = (size[0] // STRIDE, size[1] // STRIDE)
    angle = rng.uniform(-np.pi, np.pi, shape)
    geometry = np.float32([rng.uniform(0, 24, shape), np.cos(angle), np.sin(angle)])
    for count in (2_000, 5_000, 50_000):
        specks, number = speckled(rng, shape, count)
        name = f"decode {number} specks"
        table.early(name, lambda: decode_snake_maps(specks, specks, geometry))  # noqa: B023
    head, maps = untrained("detection/icdar2015/textsnake_R_50.yaml", size)
    for thresh in (0.9, 0.1):
        head.decoding.update(text_thresh=thresh, centre_thresh=thresh)
        table.early(
            f"decode maps of random weights above {thresh}", lambda: head.decode(maps, size)
        )


if __name__ == "__main__":
    run(__doc__, fill, round_trips)
