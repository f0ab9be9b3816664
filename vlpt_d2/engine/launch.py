"""The command line of training and evaluation, on CPU or GPUs, in one or many processes."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

import torch
from detectron2.engine import launch
from detectron2.evaluation import verify_results
from detectron2.utils import comm

from ..checkpoint import TextCheckpointer
from .defaults import ConfigError, load_config, setup
from .trainer import TextTrainer

__all__ = ["argument_parser", "main", "run"]

logger = logging.getLogger(__name__)


def argument_parser() -> argparse.ArgumentParser:
    """The parser of train_net.py: detectron2's arguments, and ``--num-processes``."""
    parser = argparse.ArgumentParser(
        description="Pre-train, fine-tune or evaluate, as the config says. Without a GPU it runs "
        "on the CPU.",
        epilog="Example: --config-file quickstart/pretrain.yaml SOLVER.MAX_ITER 200",
    )
    add = parser.add_argument
    add("--config-file", default="", metavar="FILE", help="a file, or the name of a packaged one")
    add("--resume", action="store_true", help="go on from the last checkpoint in OUTPUT_DIR")
    add("--eval-only", action="store_true", help="evaluate MODEL.WEIGHTS on DATASETS.TEST")
    add("--num-gpus", type=int, default=1, metavar="N", help="GPUs of each machine (default 1)")
    add(
        "--num-processes",
        type=int,
        default=0,
        metavar="N",
        help="run on the CPU in this many processes of each machine",
    )
    add("--num-machines", type=int, default=1, metavar="N", help="machines (default 1)")
    add("--machine-rank", type=int, default=0, metavar="I", help="of this machine, from 0")
    add(
        "--dist-url",
        default="auto",
        metavar="URL",
        help="where the processes meet, such as tcp://host:port (default: a free local port)",
    )
    add("opts", nargs="*", help="config keys and values: KEY value KEY value …")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Train or evaluate.

    Args:
        argv: the command line; ``sys.argv[1:]`` if not given.

    Returns:
        The exit status: 0, or 2 where the command line or the config cannot be used.
    """
    parser = argument_parser()
    args = parser.parse_intermixed_args(argv)
    try:
        processes = _processes(args)
        # In the process that was started, so that a misspelt key gives one short message.
        load_config(args.config_file, args.opts)
    except ConfigError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2
    launch(
        run,
        processes,
        num_machines=args.num_machines,
        machine_rank=args.machine_rank,
        dist_url=args.dist_url,
        args=(args,),
    )
    return 0


def run(args: argparse.Namespace) -> dict[str, Any] | None:
    """Train or evaluate in this process, one of those that were launched.

    Args:
        args: of :func:`argument_parser`.

    Returns:
        The results of the last evaluation; None if there was none.
    """
    cfg = setup(args)
    if not args.eval_only:
        trainer = TextTrainer(cfg)
        trainer.resume_or_load(resume=args.resume)
        return trainer.train()
    model = TextTrainer.build_model(cfg)
    checkpointer = TextCheckpointer(model, save_dir=cfg.OUTPUT_DIR, cfg=cfg)
    weights = cfg.MODEL.WEIGHTS
    if args.resume and checkpointer.has_checkpoint():
        weights = checkpointer.get_checkpoint_file()
    if not weights:
        logger.warning("MODEL.WEIGHTS is empty: evaluating random weights")
    checkpointer.load(weights, checkpointables=[])
    results = TextTrainer.test(cfg, model, weights=weights)
    if comm.is_main_process():
        verify_results(cfg, results)
    return results


def _processes(args: argparse.Namespace) -> int:
    """Processes to start on this machine."""
    if args.num_machines > 1 and args.dist_url == "auto":
        raise ConfigError(
            "several machines need a meeting place: --dist-url tcp://<host of machine 0>:<port>"
        )
    if args.num_processes > 0:
        # GPUs, if any, are hidden from the processes, which then meet over gloo.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        if torch.cuda.is_initialized():
            raise ConfigError("--num-processes must be chosen before a GPU is used")
        return args.num_processes
    if not torch.cuda.is_available():
        if args.num_gpus > 1:
            raise ConfigError(
                f"--num-gpus is {args.num_gpus} and there is no GPU; for several processes on "
                "the CPU say --num-processes"
            )
        return 1
    if args.num_gpus > torch.cuda.device_count():
        raise ConfigError(f"--num-gpus is {args.num_gpus}, there are {torch.cuda.device_count()}")
    return max(args.num_gpus, 1)
