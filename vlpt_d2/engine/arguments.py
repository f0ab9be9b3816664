"""The command line of training and evaluation."""

import argparse

from ..utils.numbers import natural, positive
from ..utils.plugins import PLUGIN_HELP

__all__ = ["argument_parser"]


def argument_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The parser of train_net.py: detectron2's arguments, and some more.

    Args:
        prog: name of the program in its messages, where it is not that of the script.
    """
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Pre-train, fine-tune or evaluate a model. Without a GPU it runs on the CPU.",
        epilog="Example: --config-file quickstart/pretrain.yaml SOLVER.MAX_ITER 200",
    )
    add = parser.add_argument
    add("--config-file", default="", metavar="FILE", help="a file, or the name of a shipped config")
    add("--resume", action="store_true", help="resume from the last checkpoint in OUTPUT_DIR")
    either = parser.add_mutually_exclusive_group().add_argument
    either("--eval-only", action="store_true", help="evaluate MODEL.WEIGHTS on DATASETS.TEST")
    either(
        "--dry-run",
        action="store_true",
        help="build everything, run two steps and one batch of each evaluation, and keep nothing",
    )
    add("--num-gpus", type=natural, default=1, metavar="N", help="GPUs of each machine (default 1)")
    add(
        "--num-processes",
        type=natural,
        default=0,
        metavar="N",
        help="run on the CPU in this many processes of each machine",
    )
    add("--num-machines", type=positive, default=1, metavar="N", help="machines (default 1)")
    add("--machine-rank", type=natural, default=0, metavar="I", help="index of the machine, from 0")
    add(
        "--dist-url",
        default="auto",
        metavar="URL",
        help="where the processes meet, such as tcp://host:port (default: a free local port)",
    )
    add("--plugin", action="append", default=[], metavar="PACKAGE", help=PLUGIN_HELP)
    add("--debug", action="store_true", help="show the traceback of an error")
    add("opts", nargs="*", help="config keys and values: KEY value KEY value …")
    return parser
