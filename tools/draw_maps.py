#!/usr/bin/env python
"""Draw a detector's label maps on one image, and the maps it predicts if there are weights."""

import argparse
from pathlib import Path

import numpy as np
from detectron2.data import DatasetCatalog

from vlpt_d2.data.datasets.from_config import register_from_config
from vlpt_d2.engine import load_config
from vlpt_d2.engine.models import build_model_with_weights
from vlpt_d2.engine.threads import set_threads
from vlpt_d2.inspection.maps import draw_labels, draw_predictions
from vlpt_d2.visualization.polygons import write_picture

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
    add("--index", type=int, default=0, help="index of the image, from 0")
    add(
        "--window",
        type=int,
        nargs=4,
        metavar=("X0", "Y0", "X1", "Y1"),
        help="part of the image to draw",
    )
    add("--maps", nargs="+", default=(), metavar="NAME", help="draw only these maps")
    add("--columns", type=int, default=3, help="maps per row")
    add("--output", required=True, help="picture to write")
    add("opts", nargs="*", help="config options")
    args = parser.parse_intermixed_args()
    cfg = load_config(args.config_file, args.opts)
    register_from_config(cfg)
    set_threads(cfg)
    dataset_dict = DatasetCatalog.get(args.dataset or cfg.DATASETS.TRAIN[0])[args.index]
    sheets = [draw_labels(cfg, dataset_dict, args.window, args.columns, args.maps)]
    if cfg.MODEL.WEIGHTS:
        model = build_model_with_weights(cfg)
        sheets.append(
            draw_predictions(cfg, model, dataset_dict, args.window, args.columns, args.maps)
        )
    width = max(sheet.shape[1] for sheet in sheets)
    sheets = [
        np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in sheets
    ]
    write_picture(Path(args.output), np.concatenate(sheets))
    print(args.output)


if __name__ == "__main__":
    main()
