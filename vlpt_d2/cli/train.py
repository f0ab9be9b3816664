"""Train or evaluate, with the arguments of train_net.py."""

from __future__ import annotations

import argparse

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register the verb; its arguments, --help too, are detectron2's and parsed there."""
    parser = subparsers.add_parser(
        "train",
        add_help=False,
        allow_abbrev=False,
        help="pre-train, fine-tune or evaluate: --config-file, --resume, --eval-only, opts",
    )
    parser.set_defaults(run=run, forward=True)


def run(args: argparse.Namespace) -> int:
    """Hand the command line on to the training engine."""
    from ..engine.arguments import argument_parser

    if {"-h", "--help"} & set(args.rest):  # before the engine's slow imports
        argument_parser("vlpt-d2 train").parse_args(["--help"])
    from ..engine.launch import main

    return main(args.rest, prog="vlpt-d2 train") or 0
