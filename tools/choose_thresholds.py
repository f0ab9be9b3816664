#!/usr/bin/env python
"""Choose DB's two thresholds on a validation set, never on the images measured later."""

import argparse
import itertools

import numpy as np
import torch
from tabulate import tabulate

from vlpt_d2.checkpoint import TextCheckpointer
from vlpt_d2.data.loader import build_test_loader
from vlpt_d2.engine import load_config
from vlpt_d2.engine.step import autocast
from vlpt_d2.engine.threads import set_threads
from vlpt_d2.engine.trainer import TextTrainer
from vlpt_d2.evaluation.text_evaluator import TextEvaluator

# Thresholds that are tried; the second is only taken where it is not below the first.
GRID = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7)


def main() -> None:
    """Parse the command line, decode the maps of all images at every pair, print the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config-file", required=True, help="the detector's config")
    parser.add_argument("--dataset", default="icdar2015_trainval_val", help="images to choose on")
    parser.add_argument("opts", nargs="*", help="KEY value pairs; MODEL.WEIGHTS above all")
    args = parser.parse_intermixed_args()
    cfg = load_config(args.config_file, args.opts)
    set_threads(cfg)
    model = TextTrainer.build_model(cfg).eval()
    TextCheckpointer(model, cfg=cfg).load(cfg.MODEL.WEIGHTS, checkpointables=[])

    pairs = [pair for pair in itertools.product(GRID, GRID) if pair[1] >= pair[0]]
    evaluators = {pair: TextEvaluator(cfg, args.dataset) for pair in pairs}
    for batch in build_test_loader(cfg, args.dataset):
        with torch.no_grad(), autocast(cfg, cfg.TEST.AMP_ENABLED):
            predicted = model.predict_maps(batch)
        for pair, evaluator in evaluators.items():
            model.text_head.decoding.update(binary_thresh=pair[0], box_thresh=pair[1])
            for (maps, size), sample in zip(predicted, batch):
                instances = model.decode(maps, size, sample)
                evaluator.process([sample], [{"instances": instances}])
    rows = []
    for pair, evaluator in evaluators.items():
        scores = evaluator.evaluate()["text"]
        rows.append([*pair, *(np.nan_to_num(scores[k]) for k in ("precision", "recall", "hmean"))])
    rows.sort(key=lambda row: -row[-1])
    headers = ["BINARY_THRESH", "BOX_THRESH", "precision", "recall", "hmean"]
    print(tabulate(rows[:10], headers=headers, floatfmt=".2f"))
    print(f"MODEL.DB.BINARY_THRESH {rows[0][0]} MODEL.DB.BOX_THRESH {rows[0][1]}")


if __name__ == "__main__":
    main()
