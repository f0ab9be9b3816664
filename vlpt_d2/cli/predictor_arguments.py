"""Options of the verbs that build a predictor."""

from __future__ import annotations

import argparse
from typing import Any

from ..utils.numbers import positive

__all__ = ["add_predictor_arguments", "predictor_arguments"]


def add_predictor_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --model, --config-file, --weights, --batch, --device, --backend and --opts."""
    add = parser.add_argument
    add("--model", help="a model of the zoo (default: db_mobile)")
    add("--config-file", default="", help="config of your own detector, instead of --model")
    add("--weights", default="", help="its checkpoint (default: MODEL.WEIGHTS)")
    add("--batch", type=positive, default=1, metavar="N", help="images of the same size at once")
    add("--device", default="auto", help="cpu, cuda:0 … (default: a GPU if there is one)")
    add(
        "--backend",
        choices=("torch", "onnx"),
        default="torch",
        help="what the network runs on; onnx, for models of the zoo and files of vlpt-d2 export, "
        "starts in a second (default: torch)",
    )
    add("--opts", nargs="+", default=[], metavar="KEY VALUE", help="config options")


def predictor_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Return what :class:`~vlpt_d2.TextPredictor` takes of them."""
    names = ("model", "config_file", "weights", "opts", "device", "backend")
    return {**{name: getattr(args, name) for name in names}, "batch_size": args.batch}
