"""Choosing a detector's thresholds on images that are not those it is measured on."""

import itertools
import logging
from collections.abc import Sequence

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.utils import comm

from ..data.loader import build_test_loader
from ..evaluation.text_evaluator import TextEvaluator
from ..modeling.detection import TextDetector
from .progress import LoggedProgress
from .step import autocast

__all__ = ["GRID", "check_thresholds", "choose_thresholds", "score_thresholds"]

logger = logging.getLogger(__name__)

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
        Over several processes, the same in each.

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
            measured = comm.all_gather(evaluator.evaluate())[0]
        finally:
            logging.disable(logging.NOTSET)
        if "text" not in measured:
            raise ValueError(f"{dataset} has no ground truth to choose thresholds by")
        scores = measured["text"]
        numbers = (np.nan_to_num(scores[k]).item() for k in ("precision", "recall", "hmean"))
        rows.append((*chosen, *numbers))
    return sorted(rows, key=lambda row: -row[-1])


def check_thresholds(cfg: CfgNode) -> None:
    """Check TEST.THRESHOLDS before anything is trained.

    Raises:
        ValueError: a value is no threshold, the model is no detector, or there are no images to
            choose on.
    """
    values, validation, test = cfg.TEST.THRESHOLDS, cfg.DATASETS.VALIDATION, cfg.DATASETS.TEST
    if not (values and test):
        return
    if not all(isinstance(value, int | float) and 0 <= value <= 1 for value in values):
        raise ValueError(f"TEST.THRESHOLDS is {values}; its values must be numbers in [0, 1]")
    if not issubclass(META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE), TextDetector):
        raise ValueError(
            f"TEST.THRESHOLDS is for text detectors; a {cfg.MODEL.META_ARCHITECTURE} has no "
            "thresholds to choose: leave it empty"
        )
    if len(validation) != 1 or validation[0] in test:
        raise ValueError(
            "TEST.THRESHOLDS chooses thresholds, which must not be done on the test images: name "
            "one dataset, of other images, in DATASETS.VALIDATION"
        )


def choose_thresholds(cfg: CfgNode, model: TextDetector) -> dict[str, float]:
    """Set a detector to the thresholds in ``TEST.THRESHOLDS`` of the highest hmean.

    Args:
        cfg: the detector's config; ``DATASETS.VALIDATION`` names the images to choose on.
        model: in evaluation mode.

    Returns:
        Config keys to the values chosen.

    Raises:
        ValueError: the images have no ground truth.
    """
    (dataset,) = cfg.DATASETS.VALIDATION
    head = model.text_head
    best, *_ = score_thresholds(cfg, model, dataset, cfg.TEST.THRESHOLDS)
    *chosen, precision, recall, hmean = best
    head.decoding.update(zip(head.threshold_keys, chosen))
    thresholds = dict(zip(head.threshold_keys.values(), chosen))
    logger.info(
        "thresholds chosen on %s: %s (precision %.2f, recall %.2f, hmean %.2f there)",
        dataset,
        " ".join(f"{key} {value:g}" for key, value in thresholds.items()),
        precision,
        recall,
        hmean,
    )
    return thresholds
