#!/usr/bin/env python
"""Draw a detector's label maps on one image, and the maps it predicts if there are weights."""

import argparse
import sys
from pathlib import Path

import numpy as np

from vlpt_d2.data.datasets.from_config import register_from_config
from vlpt_d2.data.loader import get_dataset_dicts
from vlpt_d2.engine import load_config
from vlpt_d2.engine.models import check_detector, load_detector
from vlpt_d2.engine.threads import set_threads
from vlpt_d2.inspection.maps import draw_labels, draw_predictions
from vlpt_d2.utils.errors import run_script
from vlpt_d2.utils.numbers import natural, positive
from vlpt_d2.visualization.polygons import check_picture, write_picture

EXAMPLE = """example:
  python tools/draw_maps.py --config-file quickstart/db_icdar2015.yaml --index 0 \\
      --window 200 40 600 240 --output maps.png MODEL.WEIGHTS output/db/model_final.pth"""


def main() -> None:
    """Parse the command line and write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--config-file", required=True, help="the detector's config")
    add("--dataset", help="a registered dataset (default: the first of DATASETS.TRAIN)")
    add("--index", type=natural, default=0, help="index of the image, from 0")
    add(
        "--window",
        type=int,
        nargs=4,
        metavar=("X0", "Y0", "X1", "Y1"),
        help="part of the image to draw",
    )
    add("--maps", nargs="+", default=(), metavar="NAME", help="draw only these maps")
    add("--columns", type=positive, default=3, help="maps per row")
    add("--output", type=Path, required=True, help="picture to write")
    add("opts", nargs="*", help="config options")
    args = parser.parse_intermixed_args()
    check_picture(args.output)
    cfg = load_config(args.config_file, args.opts)
    check_detector(cfg)
    register_from_config(cfg)
    set_threads(cfg)
    dicts = get_dataset_dicts([args.dataset] if args.dataset else cfg.DATASETS.TRAIN[:1])
    if args.index >= len(dicts):
        parser.error(f"--index is {args.index}; there are {len(dicts)} images, from 0")
    dataset_dict = dicts[args.index]
    sheets = [draw_labels(cfg, dataset_dict, args.window, args.columns, args.maps)]
    if cfg.MODEL.WEIGHTS:
        model = load_detector(cfg, cfg.MODEL.WEIGHTS)
        sheets.append(
            draw_predictions(cfg, model, dataset_dict, args.window, args.columns, args.maps)
        )
    width = max(sheet.shape[1] for sheet in sheets)
    sheets = [
        np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in sheets
    ]
    write_picture(args.output, np.concatenate(sheets))
    print(args.output)


if __name__ == "__main__":
    sys.exit(run_script(main))
