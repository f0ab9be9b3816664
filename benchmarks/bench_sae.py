"""Timings of SAE's label maps and decoding, compared with the published steps pixel by pixel.

Run ``python benchmarks/bench_sae.py``. Only the ratios of one run mean something.
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
from table import Table, run

from vlpt_d2.engine import load_config
from vlpt_d2.modeling.detection.sae.decode import assign_pixels, decode_sae_maps
from vlpt_d2.modeling.detection.sae.labels import draw_sae_labels
from vlpt_d2.structures import TextInstances

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from helpers.round_trip import icdar2015_texts, print_round_trip, rendered_curved_texts
from helpers.sae_by_pixel import assign_by_pixel
from helpers.shipped_detectors import Setting

TEST_SIZE = (736, 1280)
SHAPE = (TEST_SIZE[0] // 2, TEST_SIZE[1] // 2)


def maps_of(polygons: list, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Text, centre and embedding as a trained network predicts them: nearly right."""
    maps = draw_sae_labels(TextInstances(polygons), TEST_SIZE)
    codes = rng.normal(0, 2, (len(polygons) + 1, 8)).astype(np.float32)
    embedding = codes[maps["text"]].transpose(2, 0, 1) + rng.normal(0, 0.1, (8, *SHAPE))
    text, centre = (0.95 * np.float32(maps[name] > 0) for name in ("text", "centre"))
    return text, centre, embedding.astype(np.float32)


def round_trips(root: Path) -> None:
    """Decode perfect maps of all images; print how the texts came back."""
    boxes, polygons = (
        Setting(load_config(f"detection/{name}/sae_R_50.yaml")) for name in ("icdar2015", "ctw1500")
    )
    print_round_trip(boxes, icdar2015_texts(root))
    print_round_trip(polygons, icdar2015_texts(root))
    print_round_trip(polygons, rendered_curved_texts(40))


def fill(table: Table) -> None:
    """Measure everything."""
    rng = np.random.default_rng(0)
    for kind, polygons in label_cases(rng).items():
        name = f"label maps, 20 {kind}, 640 x 640"
        mine, _ = table.compare(name, lambda p=polygons: draw_sae_labels(TextInstances(p), SIZE))
        table.judge(name, mine, 10)

    for kind, polygons in (
        ("words", random_quads(rng, 30, TEST_SIZE)),
        ("large words", separate_quads(rng, 30, TEST_SIZE)),
    ):
        maps = maps_of(polygons, rng)
        masks = [m > 0.5 for m in maps[:2]]
        table.compare(
            f"clusters of 30 {kind}",
            lambda: assign_pixels(*masks, maps[2]),  # noqa: B023
            lambda: assign_by_pixel(*masks, maps[2]),  # noqa: B023
        )
        for polygon_mode in (False, True):
            name = f"decode 30 {kind}, {'polygon' if polygon_mode else 'box'}"
            decode = lambda: decode_sae_maps(*maps, stride=2, polygon_mode=polygon_mode)  # noqa: B023, E731
            mine, _ = table.compare(name, decode)
            table.judge(name, mine, 20)

    noise = cv2.GaussianBlur(rng.random((*SHAPE, 8), np.float32), (0, 0), 2.0).transpose(2, 0, 1)
    noise = np.ascontiguousarray(noise)
    for count in (5_000, 50_000):
        text, number = speckled(rng, SHAPE, count, 4)
        for name, maps in (
            ("specks of text and centre", (text, text, noise)),
            ("centres in one text", (np.full(SHAPE, 0.9, np.float32), text, noise)),
        ):
            table.early(
                f"decode {number} {name}",
                lambda: decode_sae_maps(*maps, stride=2, polygon_mode=True),  # noqa: B023
            )
    head, maps = untrained("detection/ctw1500/sae_R_50.yaml", TEST_SIZE)
    table.early("decode maps of random weights", lambda: head.decode(maps, TEST_SIZE))


if __name__ == "__main__":
    run(__doc__, fill, round_trips)
