"""Common arguments of the verbs that inspect a pre-trained model."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..utils.numbers import positive

if TYPE_CHECKING:
    from ..inspection import LoadedModel

__all__ = [
    "IMAGE_HELP",
    "add_model_arguments",
    "check_figure",
    "load_model",
    "number_of_answers",
    "write_figure",
]

IMAGE_HELP = "an image file, or DATASET:INDEX for an image of a registered dataset"

# As many as a figure shows readably.
_MOST_ANSWERS = 100


def number_of_answers(text: str) -> int:
    """Parse the number of guesses or neighbours to show.

    Raises:
        ArgumentTypeError: it is not positive, or too large.
        ValueError: it is not a whole number.
    """
    value = positive(text)
    if value > _MOST_ANSWERS:
        raise argparse.ArgumentTypeError(f"{value} is too many; ask for 1 to {_MOST_ANSWERS}")
    return value


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--config-file``, ``--weights`` and KEY VALUE options.

    Options may follow any argument, so they are what is left over.
    """
    parser.add_argument(
        "--config-file",
        default="",
        help="the config of the pre-training (default: vlpt_R_50_half, with its weights)",
    )
    parser.add_argument("--weights", default="", help="its checkpoint (default: MODEL.WEIGHTS)")
    parser.set_defaults(rest=[])


def load_model(args: argparse.Namespace) -> LoadedModel:
    """Load the model that the arguments name."""
    from detectron2.utils.logger import setup_logger

    from ..inspection import load_for_inspection

    setup_logger(name="vlpt_d2")
    trainer = logging.getLogger("vlpt_d2.engine.trainer")
    level = trainer.level
    trainer.setLevel(logging.WARNING)  # else it prints every layer
    try:
        return load_for_inspection(args.config_file, args.rest, args.weights)
    finally:
        trainer.setLevel(level)


def check_figure(path: Path) -> None:
    """Check that matplotlib writes the format of a path's suffix.

    Raises:
        ValueError: it does not.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise ValueError(
            f"{path}: a figure cannot be written as {path.suffix!r}; use .png, .svg or .pdf"
        )


def write_figure(path: Path, draw: Callable[..., None], *content: object) -> None:
    """Let ``draw`` write its ``content`` to a figure, whose folder is made, and print its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(*content, path)
    print(f"written: {path}")
