#!/usr/bin/env python
"""Choose a detector's thresholds on a validation set, never on the images evaluated later."""

import argparse
import logging
import sys

from tabulate import tabulate

from vlpt_d2.data.datasets.from_config import register_from_config
from vlpt_d2.engine import load_config
from vlpt_d2.engine.models import load_detector
from vlpt_d2.engine.threads import set_threads
from vlpt_d2.engine.thresholds import GRID, score_thresholds
from vlpt_d2.utils.errors import run_script
from vlpt_d2.utils.numbers import share


def main() -> None:
    """Parse the command line, evaluate every combination and print the ten best."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config-file", required=True, help="the detector's config")
    parser.add_argument("--dataset", default="icdar2015_trainval_val", help="images to choose on")
    parser.add_argument("--grid", type=share, nargs="+", default=GRID, help="values to try (last)")
    parser.add_argument("opts", nargs="*", help="config options, with MODEL.WEIGHTS")
    args = parser.parse_intermixed_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cfg = load_config(args.config_file, args.opts)
    register_from_config(cfg)
    set_threads(cfg)
    model = load_detector(cfg, cfg.MODEL.WEIGHTS)
    rows = score_thresholds(cfg, model, args.dataset, args.grid)
    keys = list(model.text_head.threshold_keys.values())
    print(tabulate(rows[:10], headers=[*keys, "precision", "recall", "hmean"], floatfmt=".2f"))
    print(*(word for pair in zip(keys, rows[0]) for word in pair))


if __name__ == "__main__":
    sys.exit(run_script(main))
