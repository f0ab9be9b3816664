"""Detect with a shipped model, then pre-train, fine-tune and evaluate a small one, in minutes."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..utils.names import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(resumes=True)
    parser.add_argument("--output", default="output/quickstart", help="output folder")
    parser.add_argument(
        "--data",
        choices=("icdar2015", "rendered"),
        help="images for the detector (default: icdar2015 if DETECTRON2_DATASETS has it)",
    )
    parser.add_argument("--fresh", action="store_true", help="start over instead of resuming")
    parser.add_argument(
        "opts", nargs="*", metavar="KEY VALUE", help="config options of both stages"
    )


def run(args: argparse.Namespace) -> int:
    """Run the quickstart; return 0."""
    from ..engine.quickstart import run_quickstart

    print(run_quickstart(Path(args.output), args.data, args.fresh, args.opts, _detect))
    return 0


def _detect(images: list[Path], folder: Path) -> None:
    from ..detect_files import detect_files
    from ..predictor import TextPredictor

    predictor = TextPredictor()
    done = detect_files(predictor, list(map(str, images)), folder, ("image", "json"), print)
    print(
        f"{predictor.weights} found {counted(done.texts, 'text')} in "
        f"{counted(done.images, 'image')}: {folder}"
    )
