"""Draw where a pre-trained model looks for each word of an image, or measure it over a dataset."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..utils.numbers import positive, share
from .model_arguments import IMAGE_HELP, add_model_arguments, load_model
from .outputs import keep_inputs, write_output

if TYPE_CHECKING:
    from ..inspection import AttentionMaps, LoadedModel

EPILOG = """examples:
  vlpt-d2 attention sign.jpg --words "coffee house"
  vlpt-d2 attention sign.jpg --words "send the group" --config-file pretrain.yaml \\
      MODEL.WEIGHTS output/pretrain/model_final.pth
  vlpt-d2 attention rendered_quickstart_val:3 --config-file quickstart/pretrain.yaml \\
      --weights output/quickstart/pretrain/model_final.pth --detail head
  vlpt-d2 attention icdar2015_test --min-width 0.125 \\
      --config-file quickstart/pretrain.yaml --weights model_final.pth
The figure has a row for each token: the attention with all words shown, with its word masked, and
the latter in each layer or head. For a dataset, the pointing accuracy and its controls are printed.
MODEL.WEIGHTS "" evaluates an untrained model.
docs/inside.md describes the figure, the arrays and the controls."""
# Options of one image, and of a dataset.
_DRAWING = ("words", "output", "arrays", "detail")
_MEASURING = ("limit", "min_width", "crops", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", help=f"{IMAGE_HELP}; or DATASET, to evaluate on all of it")
    draw = parser.add_argument_group("drawing one image").add_argument
    draw("--words", help="the caption (default: the dataset's words of the image)")
    draw(
        "--output",
        type=Path,
        help="the figure (default: attention_<image>.png, numbered if it exists)",
    )
    draw("--arrays", type=Path, help="write the probabilities to this .npz")
    draw(
        "--detail",
        choices=("mean", "layer", "head"),
        help="columns in addition to the means over layers and heads (default: layer)",
    )
    measure = parser.add_argument_group("pointing accuracy over a dataset").add_argument
    measure("--limit", type=positive, help="number of images, evenly spread")
    measure(
        "--min-width",
        type=share,
        help="minimum width of words, as a share of the image's width",
    )
    measure(
        "--crops", action="store_true", help="a window around each word instead of whole images"
    )
    measure("--json", type=Path, help="write the results to this file")
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Draw or measure; return 0."""
    from detectron2.data import DatasetCatalog

    from ..visualization.polygons import check_picture

    keep_inputs((args.output, args.arrays, args.json), (args.image, args.config_file, args.weights))
    if args.output:
        check_picture(args.output)
    loaded = load_model(args)
    # The config may register datasets.
    if args.image in DatasetCatalog and not Path(args.image).is_file():
        _refuse(args, _DRAWING, f"one image, and this is a dataset: name {args.image}:INDEX")
        return _measure(args, loaded)
    return _draw(args, loaded)


def _refuse(args: argparse.Namespace, names: Sequence[str], what_for: str) -> None:
    """Refuse options that do not apply."""
    if given := [f"--{name.replace('_', '-')}" for name in names if getattr(args, name)]:
        are = "is" if len(given) == 1 else "are"
        raise ValueError(f"{args.image}: {', '.join(given)} {are} for {what_for}")


def _draw(args: argparse.Namespace, loaded: LoadedModel) -> int:
    from ..inspection import attend
    from ..inspection.attention_pictures import attention_figure
    from ..utils.names import free_path
    from ..visualization.polygons import write_picture

    picture = loaded.read(args.image)
    _refuse(args, _MEASURING, "a whole dataset, and this is one image: name a DATASET")
    if args.words:
        words = args.words.split()
    else:
        words = [word for word in picture.words if loaded.knows(word)]
    known = {word.lower(): rings for word, rings in zip(picture.words, picture.polygons)}
    polygons = [known.get(word.lower(), []) for word in words]
    if not words:
        raise ValueError(f"{args.image}: the words of this image are not known; use --words")
    maps = attend(loaded, picture, words)
    print(_table(maps, polygons))
    if args.arrays:
        args.arrays.parent.mkdir(parents=True, exist_ok=True)
        maps.save(args.arrays)
        print(f"written: {args.arrays}")
    figure = attention_figure(maps, polygons, args.detail or "layer")
    # A dataset's image is named DATASET:INDEX.
    stem = Path(args.image).stem.replace(":", "_")
    output = args.output or free_path(Path(f"attention_{stem}.png"))
    output.parent.mkdir(parents=True, exist_ok=True)
    write_picture(output, figure)
    print(f"written: {output}")
    return 0


def _table(maps: AttentionMaps, polygons: list) -> str:
    from shapely import intersects_xy
    from tabulate import tabulate

    from ..modeling.pretraining.pointing import peak_of, region_of

    size = maps.image.shape[:2]
    rows = []
    for number, token in enumerate(maps.tokens):
        row = [token, f"{100 * maps.probability[number]:.1f}"]
        places = polygons[maps.words[number]]
        for part, cls in ((maps.shown, maps.shown_cls), (maps.masked, maps.masked_cls)):
            x, y = peak_of(part[:, :, number].mean(axis=(0, 1)), size, maps.centre)
            row += [f"{x * size[1]:.0f}, {y * size[0]:.0f}", f"{100 * cls[..., number].mean():.1f}"]
            hit = places and intersects_xy(region_of(places, size), x, y)
            row.append(("yes" if hit else "no") if places else "-")
        rows.append(row)
    headers = ["token", "read %"]
    for kind in ("shown", "masked"):
        headers += [f"{kind}: peak", "CLS %", "on word"]
    return tabulate(rows, headers=headers)


def _measure(args: argparse.Namespace, loaded: LoadedModel) -> int:
    from tabulate import tabulate

    from ..data.lazy import spread
    from ..data.loader import get_dataset_dicts
    from ..inspection import measure_pointing

    dicts = spread(get_dataset_dicts([args.image]), args.limit or 0)
    results = measure_pointing(loaded, dicts, args.crops, args.min_width or 0.0)
    names = list(dict.fromkeys(name for part in results.values() for name in part))
    rows = [
        [kind, *(f"{part[n]:.1f}" if n != "words" else part[n] for n in names if n in part)]
        for kind, part in results.items()
    ]
    print(tabulate(rows, headers=["word is", *names], disable_numparse=True))
    if args.json:
        write_output(args.json, json.dumps(results, indent=1))
    return 0
