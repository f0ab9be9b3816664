"""From a config and weights to a model that is ready for inference."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.modeling import META_ARCH_REGISTRY

from ..checkpoint import CheckpointError, TextCheckpointer
from ..export import Detector, ExportNetwork
from ..export.metadata import describe
from ..modeling.detection import DecodedTexts, TextDetector
from ..modeling.fusing import fuse_norms
from .defaults import ConfigError, config_faults
from .step import autocast
from .trainer import TextTrainer

__all__ = ["build_detector", "build_model_with_weights", "check_detector", "load_detector"]


def build_model_with_weights(cfg: CfgNode, weights: str = "", needed: str = "") -> Any:
    """Build the model of a config, load its weights and put it in eval mode.

    Args:
        cfg: the model's config.
        weights: a checkpoint, or ``vlpt://<model>``; MODEL.WEIGHTS if not given. Without either
            the model has its initial weights.
        needed: beginning of the names of weights, such as "text_head.", that the file must have
            in addition to a trunk, all of them in the config's shapes.

    Returns:
        The model, of the class that MODEL.META_ARCHITECTURE names, on MODEL.DEVICE.

    Raises:
        ConfigError: no model can be built from the config.
        FileNotFoundError: there is no such file.
        CheckpointError: the file cannot be read, does not fit, or lacks what is needed.
        ValueError: the zoo has no such model, or its file is damaged.
    """
    weights = weights or cfg.MODEL.WEIGHTS
    with config_faults(cfg):
        model = TextTrainer.build_model(cfg).eval()
    checkpointer = TextCheckpointer(model, cfg=cfg, needed=needed)
    checkpointer.load(weights, checkpointables=[])
    # Not the buffers: a batch norm counts its batches in one that files need not have.
    wanted = {name for name, _ in model.named_parameters() if needed and name.startswith(needed)}
    if other := sorted(wanted & checkpointer.misshapen):
        raise CheckpointError(
            f"{weights} is of another model: {other[0]} and {len(other) - 1} more have another "
            "shape than the config's. Use the config it was trained with"
        )
    if wanted and wanted <= checkpointer.missing:
        raise CheckpointError(
            f"{weights} has none of the model's {needed}*: it is of another model. Use the config "
            "it was trained with"
        )
    return model


def check_detector(cfg: CfgNode) -> None:
    """Check that a config is of a text detector.

    Raises:
        ConfigError: it is not.
    """
    kind = cfg.MODEL.META_ARCHITECTURE
    with config_faults(cfg):
        model = META_ARCH_REGISTRY.get(kind)
    if not issubclass(model, TextDetector):
        raise ConfigError(f"MODEL.META_ARCHITECTURE is {kind!r}; only a TextDetector finds texts")


def load_detector(cfg: CfgNode, weights: str) -> TextDetector:
    """Build the trained detector of a config.

    Args:
        cfg: the detector's config.
        weights: see :func:`build_model_with_weights`.

    Raises:
        ConfigError: the config is of no text detector, or no weights are named.
        FileNotFoundError, CheckpointError, ValueError: see :func:`build_model_with_weights`.
    """
    check_detector(cfg)
    if not weights:
        raise ConfigError("name the weights of the detector, or set MODEL.WEIGHTS")
    return build_model_with_weights(cfg, weights, needed="text_head.")


def build_detector(cfg: CfgNode, weights: str) -> tuple[TextDetector, Detector]:
    """Build the detector of a config, load its weights, and make it ready for images.

    Batch norms are folded into the convolutions. TEST.AMP_ENABLED computes in the precision of
    SOLVER.AMP.DTYPE.

    Args:
        cfg: the detector's config.
        weights: see :func:`build_model_with_weights`.

    Returns:
        The model, and the detector that computes with it, on MODEL.DEVICE.

    Raises:
        ConfigError, FileNotFoundError, CheckpointError, ValueError: see :func:`load_detector`.
    """
    model = load_detector(cfg, weights)
    fuse_norms(model)
    network = ExportNetwork(model)
    casting = autocast(cfg, cfg.TEST.AMP_ENABLED)

    def run(images: np.ndarray) -> list[np.ndarray]:
        with torch.no_grad(), casting:
            maps = network(torch.from_numpy(images).to(model.device))
        return [values.float().cpu().numpy() for values in maps]

    def decode(maps: dict[str, np.ndarray], size: tuple[int, int]) -> DecodedTexts:
        tensors = {name: torch.from_numpy(values) for name, values in maps.items()}
        return model.text_head.decode(tensors, size)

    return model, Detector(run, describe(cfg, model, network.map_names()), decode)
