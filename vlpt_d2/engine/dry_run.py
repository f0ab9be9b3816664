"""A rehearsal of a training: everything is built and done once, and nothing is kept."""

import argparse
import logging
import tempfile
import time
from datetime import timedelta
from typing import Any

import torch
from detectron2.config import CfgNode

from .defaults import config_faults, load_config, setup
from .profile import peak_memory
from .trainer import TextTrainer

__all__ = ["dry_run"]

logger = logging.getLogger(__name__)

_STEPS = 2


class _Rehearsal(TextTrainer):
    """A trainer of two steps, whose evaluations take the first batch of each dataset."""

    def __init__(self, cfg: CfgNode):
        super().__init__(cfg)
        self.checkpointer.save_to_disk = False
        self.seconds = 0.0

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Any:
        for batch in super().build_test_loader(cfg, dataset_name):
            return [batch]
        return []

    def _evaluated(self, iteration: int) -> bool:
        return True  # so that only the last step's is done

    def run_step(self) -> None:
        start = time.perf_counter()
        super().run_step()
        # The first step also starts the data workers and chooses kernels.
        self.seconds = time.perf_counter() - start


def dry_run(args: argparse.Namespace) -> None:
    """Train for two steps and evaluate the first batch of each dataset that is evaluated.

    With --resume the steps are those after the checkpoint. Nothing is written to OUTPUT_DIR.

    Args:
        args: of :func:`~.arguments.argument_parser`.
    """
    folder = load_config(args.config_file, args.opts).OUTPUT_DIR
    with tempfile.TemporaryDirectory() as scratch:
        opts = [*args.opts, "OUTPUT_DIR", scratch, "WANDB_PROJECT", ""]
        cfg = setup(argparse.Namespace(**{**vars(args), "opts": opts}))
        with config_faults(cfg):
            trainer = _Rehearsal(cfg)
        # Only read from: checkpoints are not saved.
        trainer.checkpointer.save_dir = folder
        trainer.resume_or_load(resume=args.resume)
        left = trainer.max_iter - trainer.start_iter
        trainer.max_iter -= max(left - _STEPS, 0)
        trainer.train()
    memory = peak_memory(torch.device(cfg.MODEL.DEVICE)) / 2**20
    logger.info(
        "dry run: %.3f s a step of %d images, peak memory %.0f MiB in this process; %d steps "
        "take about %s without evaluations. %s is as it was",
        trainer.seconds,
        cfg.SOLVER.IMS_PER_BATCH,
        memory,
        left,
        timedelta(seconds=round(left * trainer.seconds)),
        folder or "OUTPUT_DIR",
    )
