"""From a config and weights to a model that is ready for inference."""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode

from ..checkpoint import CheckpointError, TextCheckpointer
from .trainer import TextTrainer

__all__ = ["build_model_with_weights"]


def build_model_with_weights(cfg: CfgNode, weights: str = "", needed: str = "") -> Any:
    """Build the model of a config, load its weights and put it in eval mode.

    Args:
        cfg: the model's config.
        weights: a checkpoint, or ``vlpt://<model>``; MODEL.WEIGHTS if not given. Without either
            the model has its initial weights.
        needed: beginning of the names of weights, such as "text_head.", that the file must have
            in addition to a trunk.

    Returns:
        The model, of the class that MODEL.META_ARCHITECTURE names, on MODEL.DEVICE.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file cannot be read, does not fit, or lacks what is needed.
        ValueError: the zoo has no such model, or its file is damaged.
    """
    weights = weights or cfg.MODEL.WEIGHTS
    model = TextTrainer.build_model(cfg).eval()
    checkpointer = TextCheckpointer(model, cfg=cfg)
    checkpointer.load(weights, checkpointables=[])
    wanted = {name for name in model.state_dict() if needed and name.startswith(needed)}
    if wanted and wanted <= checkpointer.missing:
        raise CheckpointError(
            f"{weights} holds a trunk but no {needed}*, which was trained with it: name a "
            f"checkpoint of a {cfg.MODEL.META_ARCHITECTURE}"
        )
    return model
