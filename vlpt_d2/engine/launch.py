"""The command line of training and evaluation, on CPU or GPUs, in one or many processes."""

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.evaluation import verify_results
from detectron2.utils import comm
from torch import nn

from ..checkpoint import TextCheckpointer
from ..data.datasets.from_config import register_from_config
from ..data.loader import check_datasets
from ..utils.errors import describe
from ..utils.interrupts import interrupt_once
from ..utils.plugins import name_plugins
from .arguments import argument_parser
from .defaults import ConfigError, config_faults, load_config, setup
from .dry_run import dry_run
from .models import build_model_with_weights
from .place import launched_place
from .processes import joined, leave, run_processes
from .thresholds import check_thresholds, choose_thresholds
from .trainer import TextTrainer

__all__ = ["main", "run"]

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Train or evaluate.

    Args:
        argv: the command line; ``sys.argv[1:]`` if not given.
        prog: see :func:`~.arguments.argument_parser`.

    Returns:
        The exit status: 0; 2 where the command line or the config cannot be used; 1 where the run
        failed; 130 where it was interrupted. The message is on standard error, with --debug the
        traceback. A process that torchrun or srun started ends itself where the run failed.
    """
    parser = argument_parser(prog)
    args = parser.parse_intermixed_args(argv)
    name_plugins(args.plugin)
    # The error that ends the run reports a log that cannot be written (full disk).
    logging.raiseExceptions = args.debug
    try:
        with interrupt_once():
            # In the process that was started, so that a misspelt key gives one short message.
            _start(args, _check(args))
    except KeyboardInterrupt as error:
        hint = "" if args.eval_only or args.dry_run else "; the same command with --resume resumes"
        print(f"{parser.prog}: interrupted{hint}", file=sys.stderr)
        leave(error, 130)
        return 130
    except Exception as error:
        if args.debug:
            details = getattr(error, "details", "") or traceback.format_exc()
            print(details, file=sys.stderr)
        size = comm.get_world_size()
        who = f"process {comm.get_rank()} of {size}: " if size > 1 else ""
        print(f"{parser.prog}: error: {who}{describe(error)}", file=sys.stderr)
        status = getattr(error, "exit_status", 1)
        leave(error, status)
        return status
    return 0


def _check(args: argparse.Namespace) -> CfgNode:
    """The config of a run that makes sense."""
    if not args.config_file and not args.opts:
        raise ConfigError(
            "no config: name one with --config-file, such as quickstart/pretrain.yaml (--help "
            "lists the arguments)"
        )
    if args.num_machines > 1 and args.dist_url == "auto":
        raise ConfigError(
            "several machines need a meeting place: --dist-url tcp://<host of machine 0>:<port>"
        )
    if args.machine_rank >= args.num_machines:
        raise ConfigError(
            f"--machine-rank is {args.machine_rank}; of {args.num_machines} machine(s) it is 0 to "
            f"{args.num_machines - 1}"
        )
    cfg = load_config(args.config_file, args.opts)
    with config_faults(cfg):
        register_from_config(cfg)
        check_datasets((*cfg.DATASETS.TEST, *cfg.DATASETS.VALIDATION))
        if not args.eval_only:
            TextTrainer.check(cfg)
            check_datasets(cfg.DATASETS.TRAIN)
            return cfg
    resumed = args.resume and os.path.isfile(os.path.join(cfg.OUTPUT_DIR, "last_checkpoint"))
    if not cfg.MODEL.WEIGHTS and not resumed:
        raise ConfigError(
            "--eval-only has no weights, and an untrained network finds nothing: set MODEL.WEIGHTS "
            "to a checkpoint"
            + (f"; {cfg.OUTPUT_DIR} has none to resume from" if args.resume else "")
        )
    if not cfg.DATASETS.TEST and not cfg.DATASETS.VALIDATION:
        raise ConfigError("--eval-only has nothing to evaluate: name datasets in DATASETS.TEST")
    return cfg


def _start(args: argparse.Namespace, cfg: CfgNode) -> None:
    """Run in this process, or in those that it starts."""
    timeout = cfg.PROCESS_TIMEOUT
    place = launched_place(os.environ, timeout, url=args.dist_url, machines=args.num_machines)
    if place is not None:
        if args.num_machines > 1 or args.num_gpus > 1 or args.num_processes > 0:
            raise ConfigError(
                f"this is process {place.rank} of {place.size} that torchrun or srun started: "
                "leave out --num-gpus, --num-processes and --num-machines, or start without it"
            )
        with joined(place):
            run(args)
        return
    processes = _processes(args)
    if args.num_machines * processes == 1:
        run(args)
        return
    run_processes(
        run,
        (args,),
        processes=processes,
        machines=args.num_machines,
        machine=args.machine_rank,
        url=args.dist_url,
        timeout=timeout,
    )


def run(args: argparse.Namespace) -> dict[str, Any] | None:
    """Train or evaluate in this process, one of those that were launched.

    Args:
        args: of :func:`~.arguments.argument_parser`.

    Returns:
        The results of the last evaluation; None if there was none, or after --dry-run.
    """
    if args.dry_run:
        dry_run(args)
        return None
    cfg = setup(args)
    try:
        return _run(args, cfg)
    except Exception:
        logger.debug("the run failed", exc_info=True)
        raise


def _run(args: argparse.Namespace, cfg: CfgNode) -> dict[str, Any] | None:
    if not args.eval_only:
        with config_faults(cfg):
            trainer = TextTrainer(cfg)
        trainer.resume_or_load(resume=args.resume)
        return trainer.train()
    weights = cfg.MODEL.WEIGHTS
    if args.resume:
        finder = TextCheckpointer(nn.Identity(), save_dir=cfg.OUTPUT_DIR)
        weights = finder.get_checkpoint_file() or weights
    with config_faults(cfg):
        check_thresholds(cfg)
    model = build_model_with_weights(cfg, weights, needed="text_head.")
    if cfg.TEST.THRESHOLDS and cfg.DATASETS.TEST:
        with torch.no_grad():
            choose_thresholds(cfg, model)
    results = TextTrainer.test(cfg, model, weights=weights)
    if comm.is_main_process():
        verify_results(cfg, results)
    return results


def _processes(args: argparse.Namespace) -> int:
    """Processes to start on this machine."""
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
