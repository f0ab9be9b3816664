"""Overfitting a few images on purpose: whether a detector can learn at all what it is shown."""

from collections.abc import Sequence

from detectron2.config import CfgNode

from ..data.datasets.from_config import register_from_config
from ..data.datasets.subset import register_first_with_text
from .defaults import ConfigError, load_config
from .models import check_detector
from .threads import set_threads
from .trainer import TextTrainer

__all__ = ["overfit", "overfit_config"]


def overfit_config(config_file: str, images: int, steps: int, opts: Sequence[str] = ()) -> CfgNode:
    """Turn a detector's config into one that trains and measures on the same few images.

    They are the first of DATASETS.TRAIN that have a text to learn, without augmentation: resized
    as the test images are. The batch is at most all of them. Everything else, thresholds and
    protocol above all, is the config's.

    Args:
        config_file: a path, or the name of a config that comes with the package.
        images: their number.
        steps: optimiser steps.
        opts: "KEY value" pairs on top, as on the command line.

    Returns:
        The frozen config; its dataset is registered.

    Raises:
        ConfigError: the config cannot be read, is of no detector, or names no images.
    """
    cfg = load_config(config_file, opts).clone()
    check_detector(cfg)
    if not cfg.DATASETS.TRAIN:
        raise ConfigError("there are no images to train on: name a dataset in DATASETS.TRAIN")
    register_from_config(cfg)
    cfg.defrost()
    name = register_first_with_text(cfg.DATASETS.TRAIN[0], images)
    cfg.DATASETS.TRAIN = cfg.DATASETS.TEST = (name,)
    cfg.DATASETS.VALIDATION = ()
    cfg.INPUT.DETECTION.AUGMENT = False
    cfg.SOLVER.IMS_PER_BATCH = min(images, cfg.SOLVER.IMS_PER_BATCH)
    cfg.SOLVER.EPOCHS = 0
    cfg.SOLVER.MAX_ITER = steps
    # One measurement, after the last step.
    cfg.TEST.EVAL_PERIOD = steps + 1
    cfg.TEST.BEST_METRIC = ""
    cfg.freeze()
    return cfg


def overfit(cfg: CfgNode) -> dict[str, float]:
    """Train on the images of :func:`overfit_config` and measure on them.

    Args:
        cfg: of :func:`overfit_config`.

    Returns:
        "precision", "recall" and "hmean" in percent, by the dataset's protocol.
    """
    set_threads(cfg)
    trainer = TextTrainer(cfg)
    trainer.resume_or_load(resume=False)
    results = trainer.train()
    assert results is not None  # of the main process, which this is
    return dict(results["text"])
