"""Entry point of the console script ``vlpt-d2``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

import vlpt_d2

__all__ = ["VERBS", "main"]

# Modules of this package, in the order of the help.
VERBS = (
    "attention",
    "compare",
    "data",
    "doctor",
    "evaluate",
    "export",
    "neighbours",
    "profile",
    "quickstart",
    "read",
    "render",
    "train",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        argv: command line without the program's name; ``sys.argv`` if not given.

    Returns:
        The exit status.
    """
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    if getattr(args, "run", None) is None:
        parser.print_help()
        return 2
    # A verb that sets ``forward`` hands arguments on to a parser of its own.
    if getattr(args, "forward", False):
        args.rest = rest
    elif rest and hasattr(args, "opts") and not any(word.startswith("--") for word in rest):
        # KEY value pairs behind an option; argparse fills a list of words only once.
        args.opts = [*args.opts, *rest]
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return args.run(args)
    except ImportError as error:
        if vlpt_d2.import_error is None:
            raise
        print(f"vlpt-d2: {error}\nRun 'vlpt-d2 doctor' for the remedy.", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vlpt-d2",
        description="Vision-language pre-training and fine-tuning of scene text detectors.",
    )
    parser.add_argument("--version", action="version", version=f"vlpt-d2 {vlpt_d2.__version__}")
    subparsers = parser.add_subparsers(title="verbs", metavar="VERB")
    for name in VERBS:
        verb = importlib.import_module(f".{name}", __package__)
        verb.add_parser(subparsers)
    return parser


if __name__ == "__main__":
    sys.exit(main())
