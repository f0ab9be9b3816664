"""Write images of rendered words with their ground truth, in ICDAR2015's format."""

from __future__ import annotations

import argparse
import ast
from typing import Any

from ..utils.names import counted
from ..utils.numbers import natural, positive

EPILOG = """example:
  vlpt-d2 render corpus --preset default --count 10000 --workers 8 \\
      --set backgrounds=photographs --set "size=(640, 640)"
Re-running the command resumes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(resumes=True)
    parser.add_argument("folder", help="folder to write: images/, gt/, coco.json and render.json")
    parser.add_argument("--preset", default="default", help="settings to start from")
    parser.add_argument("--count", type=positive, default=1000, help="number of images")
    parser.add_argument("--seed", type=natural, default=0, help="seed of the corpus")
    parser.add_argument(
        "--start-index", type=natural, default=0, help="index of the first image in the corpus"
    )
    parser.add_argument(
        "--workers", type=natural, default=0, help="rendering processes (0: no extra one)"
    )
    parser.add_argument("--format", choices=("jpg", "png"), default="jpg", help="image format")
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="settings",
        help="a setting of vlpt_d2.data.rendering.RenderSettings; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Write the corpus; return 0."""
    from vlpt_d2.data.rendering.export import CorpusOrder, write_corpus

    settings = dict(_parse_setting(text) for text in args.settings)
    order = CorpusOrder(args.preset, settings, args.seed, args.start_index, args.count, args.format)
    counts = write_corpus(args.folder, order, args.workers)
    resumed = f", {counts['resumed']} of them from earlier runs" if counts["resumed"] else ""
    images, words = counted(counts["images"], "image"), counted(counts["words"], "word")
    print(f"{args.folder}: {images}{resumed}, {words}")
    return 0


def _parse_setting(text: str) -> tuple[str, Any]:
    """Split ``name=value``; a value that is no Python literal is text."""
    name, separator, value = text.partition("=")
    if not separator:
        raise ValueError(f"--set takes NAME=VALUE, not {text!r}")
    try:
        return name.strip(), ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        return name.strip(), value.strip()
