"""Entry point of the console script ``vlpt-d2``."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
import traceback
from collections.abc import Sequence

import vlpt_d2

from ..utils.errors import describe
from ..utils.interrupts import interrupt_once
from ..utils.plugins import PLUGIN_HELP, take_plugin_options

__all__ = ["VERBS", "main"]

# Modules of this package, in the order of the help.
VERBS = (
    "attention",
    "bulk",
    "compare",
    "data",
    "demo",
    "detect",
    "doctor",
    "evaluate",
    "export",
    "finetune",
    "models",
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
    # These two may be anywhere on the line, for every verb.
    words = take_plugin_options(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    # The other verbs need not be imported.
    asked = [word for word in words if not word.startswith("-")][:1]
    parser = _parser(asked if set(asked) & set(VERBS) else VERBS)
    args, rest = parser.parse_known_args(words)
    if getattr(args, "run", None) is None:
        parser.print_help()
        return 2
    known = not any(re.match("--|-[A-Za-z]", word) for word in rest)  # unlike the value -5
    if getattr(args, "forward", False):  # train, whose engine has a parser of its own
        args.rest = [*rest, "--debug"] if debug else rest
    elif known and hasattr(args, "rest"):
        args.rest = rest
    elif known and hasattr(args, "opts"):
        # KEY value pairs after an option: argparse fills a list of words only once.
        args.opts = [*args.opts, *rest]
    elif rest:
        args.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        with interrupt_once():
            return args.run(args)
    except KeyboardInterrupt:
        # A verb that resumes says so with ``resumes``.
        resumes = getattr(args, "resumes", False) and not getattr(args, "fresh", False)
        hint = "; the same command resumes" if resumes else ""
        print(f"{parser.prog} {args.verb}: interrupted{hint}", file=sys.stderr)
        return 130
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"{parser.prog} {args.verb}: {describe(error)}", file=sys.stderr)
        if isinstance(error, ImportError):
            print("Run 'vlpt-d2 doctor' to see how to fix it.", file=sys.stderr)
            return 1
        return getattr(error, "exit_status", 2)


def _parser(verbs: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vlpt-d2",
        description="Find text in photographs; pre-train, train and evaluate text detectors.",
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--plugin", metavar="PACKAGE", help=PLUGIN_HELP)
    parser.add_argument("--version", action="version", version=f"vlpt-d2 {vlpt_d2.__version__}")
    subparsers = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb")
    for name in verbs:
        verb = importlib.import_module(f".{name}", __package__)
        text = verb.__doc__ or ""
        summary = text.partition("\n")[0].rstrip(".")
        # The engine parses what follows "train" itself, --help too.
        parses = name != "train"
        verb_parser = subparsers.add_parser(
            name,
            help=summary[:1].lower() + summary[1:],
            description=text,
            epilog=getattr(verb, "EPILOG", None),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=parses,
            allow_abbrev=parses,
        )
        verb_parser.set_defaults(run=verb.run, parser=verb_parser)
        verb.add_arguments(verb_parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
