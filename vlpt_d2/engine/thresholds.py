"""Choosing a detector's thresholds on images that are not those it is measured on."""

import itertools
import logging
from collections.abc import Sequence

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from ..data.loader import build_test_loader
from ..evaluation.text_evaluator import TextEvaluator
from ..modeling.detection import TextDetector
from .progress import LoggedProgress
from .step import autocast

#: Values that are tried for each threshold.
GRID = (0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9)


def score_thresholds(
    cfg: CfgNode, model: TextDetector, dataset: str, grid: Sequence[float] = GRID
) -> list[tuple[float, ...]]:
    """Evaluate a detector at every combination of its head's thresholds.

    The network runs once; its maps are decoded at every combination. The head is left at the
    thresholds it had.

    Args:
        cfg: the detector's config.
        model: in evaluation mode.
        dataset: name of the images to choose on.
        grid: values of each threshold.

    Returns:
        Rows (threshold, …, precision, recall, hmean), thresholds in the order of
        ``threshold_keys``, the rest in percent, best hmean first; what is undefined counts as 0.

    Raises:
        ValueError: the images have no ground truth.
    """
    head = model.text_head
    choices = list(itertools.product(grid, repeat=len(head.threshold_keys)))
    metadata = MetadataCatalog.get(dataset)
    evaluators = {
        chosen: TextEvaluator(
            dataset_name=dataset,
            protocol=metadata.evaluator_type,
            score_thresh=cfg.TEST.SCORE_THRESH,
        )
        for chosen in choices
    }
    before = dict(head.decoding)
    for batch in LoggedProgress(build_test_loader(cfg, dataset), dataset):
        with torch.no_grad(), autocast(cfg, cfg.TEST.AMP_ENABLED):
            predicted = model.predict_maps(batch)
        for chosen, evaluator in evaluators.items():
            head.decoding.update(zip(head.threshold_keys, chosen))
            for (maps, size), sample in zip(predicted, batch):
                evaluator.process([sample], [{"instances": model.decode(maps, size, sample)}])
    head.decoding = before
    rows = []
    for chosen, evaluator in evaluators.items():
        logging.disable(logging.INFO)  # a line for each combination
        try:
            measured = evaluator.evaluate()
        finally:
            logging.disable(logging.NOTSET)
        if "text" not in measured:
            raise ValueError(f"{dataset} has no ground truth to choose thresholds by")
        scores = measured["text"]
        numbers = (np.nan_to_num(scores[k]).item() for k in ("precision", "recall", "hmean"))
        rows.append((*chosen, *numbers))
    return sorted(rows, key=lambda row: -row[-1])
