#!/usr/bin/env python
"""Train a detector on a few images without augmentation and evaluate it on the same images.

A detector whose labels, losses and decoding fit together reaches an hmean of 0.95 or more.
"""

import argparse
import sys

from detectron2.utils.logger import setup_logger

from vlpt_d2.engine.overfit import overfit, overfit_config
from vlpt_d2.utils.errors import run_script
from vlpt_d2.utils.numbers import positive, share

EXAMPLE = """example, on two CPU cores, with ICDAR2015 under DETECTRON2_DATASETS:
  DETECTRON2_DATASETS=datasets python tools/overfit.py \\
      --config-file quickstart/db_icdar2015.yaml --images 4 --steps 300 \\
      MODEL.WEIGHTS output/quickstart/pretrain/model_final.pth OUTPUT_DIR output/overfit_db
exit status: 0 if --at-least is reached, else 1"""


def main() -> int:
    """Parse the command line, train, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", required=True, help="the detector's config")
    parser.add_argument(
        "--images", type=positive, default=4, help="number of images, the first ones with text"
    )
    parser.add_argument("--steps", type=positive, default=300, help="optimiser steps")
    parser.add_argument("--at-least", type=share, default=0.95, help="required hmean")
    parser.add_argument("opts", nargs="*", help="config options")
    args = parser.parse_intermixed_args()
    cfg = overfit_config(args.config_file, args.images, args.steps, args.opts)
    for name in ("fvcore", "detectron2", "vlpt_d2"):
        setup_logger(cfg.OUTPUT_DIR or None, name=name)
    scores = {name: value / 100 for name, value in overfit(cfg).items()}
    listed = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
    print(f"{args.images} images, {args.steps} steps: {listed} (required: {args.at_least})")
    return 0 if scores["hmean"] >= args.at_least else 1


if __name__ == "__main__":
    sys.exit(run_script(main))
