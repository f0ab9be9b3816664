"""Let a pre-trained model fill in masked words, and rank captions for an image."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..utils.names import counted
from ..utils.numbers import positive
from .model_arguments import (
    IMAGE_HELP,
    add_model_arguments,
    check_figure,
    load_model,
    number_of_answers,
    write_figure,
)
from .outputs import keep_inputs

if TYPE_CHECKING:
    from ..inspection import LoadedModel, Picture

EPILOG = """examples:
  vlpt-d2 read sign.jpg --prompt "exit [MASK]"
  vlpt-d2 read sign.jpg --prompt "exit [MASK]" --config-file pretrain.yaml \\
      MODEL.WEIGHTS output/pretrain/model_final.pth
  vlpt-d2 read rendered_quickstart_val:3 --words-count 2 --one-by-one \\
      --captions captions.txt --output read.png --config-file quickstart/pretrain.yaml \\
      --weights model_final.pth
A prompt has [MASK] for each token to read. Captions are the lines of a UTF-8 file."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", help=IMAGE_HELP)
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument(
        "--words-count",
        type=positive,
        metavar="N",
        help="number of words to read (default: 1, without --captions)",
    )
    asked.add_argument("--prompt", help='a caption with masks, such as "exit [MASK]"')
    parser.add_argument(
        "--one-by-one",
        action="store_true",
        help="fill in the most certain mask first, then predict the others again",
    )
    parser.add_argument(
        "--top",
        type=number_of_answers,
        default=5,
        help="number of guesses for each mask and of captions",
    )
    parser.add_argument("--captions", type=Path, help="rank the lines of this file")
    parser.add_argument("--output", type=Path, help="draw the image and the answers to this file")
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the answers; return 0."""
    from ..inspection.reading import MASK, fill_masks

    keep_inputs([args.output], (args.image, args.captions, args.config_file, args.weights))
    if args.output:
        check_figure(args.output)
    captions = _captions(args.captions) if args.captions else []
    loaded = load_model(args)
    picture = loaded.read(args.image)
    prompt = args.prompt
    if prompt is None and (args.words_count or not captions):
        prompt = " ".join([MASK] * (args.words_count or 1))
    if prompt is None and args.one_by_one:
        raise ValueError("--one-by-one is for masks: add --words-count or --prompt")
    panels = []
    if prompt is not None:
        guesses = fill_masks(loaded, picture, prompt, args.top, args.one_by_one)
        for number, answers in enumerate(guesses, 1):
            print(f"mask {number}: " + ", ".join(f"{word} {100 * p:.1f} %" for word, p in answers))
            panels.append((f"mask {number}: {prompt}", answers))
    if captions:
        panels.append(_rank(args, loaded, picture, captions))
    if args.output:
        from ..visualization.words import plot_reading

        write_figure(args.output, plot_reading, loaded.rgb(picture), panels)
    return 0


def _rank(
    args: argparse.Namespace, loaded: LoadedModel, picture: Picture, captions: list[str]
) -> tuple[str, list[tuple[str, float]]]:
    """Print the best captions; return their title and, with their probabilities, them."""
    from tabulate import tabulate

    from ..inspection import rank_captions

    ranked = rank_captions(loaded, picture, captions)[: args.top]
    rows = [
        [rank, f"{cosine:.3f}", f"{100 * odds:.1f}", captions[i]]
        for rank, (i, cosine, odds) in enumerate(ranked, 1)
    ]
    title = f"{counted(len(captions), 'caption')}, the best first"
    print(f"\n{title}")
    print(tabulate(rows, headers=["", "cosine", "%", "caption"], disable_numparse=True))
    return title, [(captions[i], odds) for i, _, odds in ranked]


def _captions(path: Path) -> list[str]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 ({error}); save it as UTF-8") from error
    captions = [line.strip() for line in lines if line.strip()]
    if not captions:
        raise ValueError(f"{path}: has no captions; write one per line")
    return captions
