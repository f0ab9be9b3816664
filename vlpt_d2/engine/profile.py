"""Where the time and the memory of a detector's training and inference go."""

import logging
from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import cast

import torch
from detectron2.config import CfgNode
from tabulate import tabulate
from torch import nn

from ..modeling.detection import TextDetector
from ..utils.rng import STEPS, seeded_rng
from ..utils.stages import StageClock
from .models import build_model_with_weights
from .step import autocast
from .trainer import TextTrainer

__all__ = ["Profile", "profile_inference", "profile_training"]

logger = logging.getLogger(__name__)

# As an image goes through them.
_ORDER = ("data", "backbone", "neck, head", "loss", "backward", "optimiser", "decode", "other")


@dataclass(frozen=True)
class Profile:
    """The stages of one kind of round.

    Attributes:
        title: what was measured.
        images: of one round.
        seconds: median of each stage.
        memory: peak bytes of each stage.
    """

    title: str
    images: int
    seconds: dict[str, float]
    memory: dict[str, int]

    def table(self) -> str:
        """The stages as text."""
        total = sum(self.seconds.values())
        rows = [
            [name, 1e3 * seconds, 100 * seconds / total, self.memory.get(name, 0) / 2**20]
            for name, seconds in sorted(self.seconds.items(), key=lambda x: _ORDER.index(x[0]))
        ]
        rows.append(["all", 1e3 * total, 100.0, max(self.memory.values()) / 2**20])
        table = tabulate(
            rows, headers=["stage", "ms", "%", "peak MiB"], floatfmt=("", ".1f", ".1f", ".0f")
        )
        return f"{self.title}: {self.images / total:.2f} images/s\n{table}"


def profile_training(cfg: CfgNode, steps: int = 5, warmup: int = 2) -> Profile:
    """Measure training steps: data, backbone, neck and head, loss, backward, optimiser.

    The samples are made in this process, so "data" is the time of one worker.

    Args:
        cfg: a detector's config.
        steps: measured ones; medians are given.
        warmup: steps before.
    """
    cfg = _without_workers(cfg)
    model = TextTrainer.build_model(cfg).train()
    optimizer = TextTrainer.build_optimizer(cfg, model)
    batches = iter(TextTrainer.build_train_loader(cfg))
    scaler = torch.amp.GradScaler(
        torch.device(cfg.MODEL.DEVICE).type,
        enabled=cfg.SOLVER.AMP.ENABLED and cfg.SOLVER.AMP.DTYPE == "float16",
    )
    clock = StageClock(cfg.MODEL.DEVICE)
    _watch(model, clock)
    size = ""

    def step() -> None:
        nonlocal size
        optimizer.zero_grad(set_to_none=True)
        for _ in range(cfg.SOLVER.ACCUMULATE):
            with clock.stage("data"):
                batch = next(batches)
            size = _largest(batch)
            with clock.stage("neck, head"), autocast(cfg):
                losses = model(batch)
            with clock.stage("backward"):
                scaler.scale(sum(losses.values())).backward()
        with clock.stage("optimiser"):
            scaler.step(optimizer)
            scaler.update()

    _rounds(clock, step, steps, warmup)
    return Profile(
        f"training step, {cfg.SOLVER.IMS_PER_BATCH} images of {size}",
        cfg.SOLVER.IMS_PER_BATCH,
        clock.median(),
        dict(clock.memory),
    )


def profile_inference(cfg: CfgNode, steps: int = 5, warmup: int = 2) -> Profile:
    """Measure inference on DATASETS.TEST: data, backbone, neck and head, decoding.

    Without MODEL.WEIGHTS the maps are noise, which takes longer to decode than text.

    Args:
        cfg: a detector's config.
        steps: measured batches; medians are given.
        warmup: batches before.
    """
    cfg = _without_workers(cfg)
    model = build_model_with_weights(cfg)
    if not cfg.MODEL.WEIGHTS:
        logger.warning("MODEL.WEIGHTS is empty: decoding is measured on the maps of random weights")
    loader = TextTrainer.build_test_loader(cfg, cfg.DATASETS.TEST[0])
    batches = iter(loader)
    clock = StageClock(cfg.MODEL.DEVICE)
    _watch(model, clock)
    size = ""

    def step() -> None:
        nonlocal batches, size
        with clock.stage("data"):
            try:
                batch = next(batches)
            except StopIteration:
                batches = iter(loader)
                batch = next(batches)
        with torch.no_grad():
            with clock.stage("neck, head"), autocast(cfg, cfg.TEST.AMP_ENABLED):
                predicted = model.predict_maps(batch)
            with clock.stage("decode"):
                for (maps, size), sample in zip(predicted, batch):
                    model.decode(maps, size, sample)
        size = _largest(batch)

    _rounds(clock, step, steps, warmup)
    images = min(cfg.TEST.IMS_PER_BATCH, len(cast(Sized, loader.dataset)))
    return Profile(
        f"inference, {images} images of {size}",
        images,
        clock.median(),
        dict(clock.memory),
    )


def _largest(batch: list[dict]) -> str:
    height, width = (max(x["image"].shape[axis] for x in batch) for axis in (1, 2))
    return f"{height} x {width}"


def _rounds(clock: StageClock, step: Callable[[], None], steps: int, warmup: int) -> None:
    with seeded_rng(STEPS, 0):
        for _ in range(warmup):
            step()
        for _ in range(steps):
            with clock.round():
                step()


def _watch(model: nn.Module, clock: StageClock) -> None:
    """Count the backbone and, in training, the losses for stages of their own."""
    if not isinstance(model, TextDetector):
        raise ValueError(
            f"only text detectors are profiled, not {type(model).__name__}: set "
            "MODEL.META_ARCHITECTURE to TextDetector"
        )
    for module, name, method in (
        (model.backbone, "backbone", "forward"),
        (model.text_head, "loss", "map_losses"),
    ):
        setattr(module, method, clock.wrap(name, getattr(module, method)))


def _without_workers(cfg: CfgNode) -> CfgNode:
    cfg = cfg.clone()
    cfg.defrost()
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.SEED = max(cfg.SEED, 0)
    cfg.freeze()
    return cfg
