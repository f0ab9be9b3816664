"""Pre-train, fine-tune or evaluate, with the arguments of train_net.py."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    # The engine parses them.
    parser.set_defaults(forward=True)


def run(args: argparse.Namespace) -> int:
    """Hand the command line on to the training engine."""
    from ..engine.arguments import argument_parser

    if {"-h", "--help"} & set(args.rest):  # before the engine's slow imports
        argument_parser("vlpt-d2 train").parse_args(["--help"])
    from ..engine.launch import main

    return main(args.rest, prog="vlpt-d2 train") or 0
