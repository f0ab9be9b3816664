"""Check a dataset, browse its images, or write it in another format or as shards."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..utils.names import counted
from ..utils.numbers import natural, positive
from .outputs import write_output

EPILOG = """examples:
  vlpt-d2 data check icdar2015_train --decode
  vlpt-d2 data check mine --format labelme --images photos --labels photos
  vlpt-d2 data browse total_text_train pages/total_text
  vlpt-d2 data browse icdar2015_train pages/labels --stage labels \\
      --config-file detection/icdar2015/db_R_50.yaml
  vlpt-d2 data convert msra_td500_train out --to coco
  vlpt-d2 data shard synthtext_train shards/synthtext
  vlpt-d2 data check synthtext --shards shards/synthtext
Registered datasets are under DETECTRON2_DATASETS; datasets/README.md shows the folders. For data of
your own, add --format, --images and --labels, or --shards, and choose any name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(action=None)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")

    check = _action(actions, "check", _check, "print counts, faults by reason, and histograms")
    check.add_argument("--decode", action="store_true", help="also decode every image")
    check.add_argument("--json", type=Path, help="write the results to this file")

    browse = _action(actions, "browse", _browse, "write a page of annotated images")
    browse.add_argument("folder", type=Path, help="folder to write")
    browse.add_argument(
        "--stage",
        choices=("original", "augmented", "labels", "captions"),
        default="original",
        help="what to draw: annotations, detector samples, label maps or pre-training samples",
    )
    browse.add_argument("--config-file", help="config, for all stages but 'original'")
    browse.add_argument(
        "--count", type=positive, default=30, help="number of images, evenly spread"
    )
    browse.add_argument("--seed", type=natural, default=0, help="seed of augmentations and masks")
    browse.add_argument("--opts", nargs="+", default=[], metavar="KEY VALUE", help="config options")

    convert = _action(actions, "convert", _convert, "write images and labels in another format")
    convert.set_defaults(resumes=True)
    convert.add_argument("folder", type=Path, help="folder to write: images/ and labels")
    convert.add_argument("--to", required=True, help="coco, icdar, labelme or yolo-obb")
    convert.add_argument("--link", action="store_true", help="link images instead of copying them")

    shard = _action(actions, "shard", _shard, "write tar files, for clusters and object stores")
    shard.set_defaults(resumes=True)
    shard.add_argument("folder", type=Path, help="folder to write; resumes if it has shards")
    shard.add_argument("--per-shard", type=positive, default=1000, help="images per tar file")
    shard.add_argument("--seed", type=natural, default=0, help="seed of the shuffling")
    shard.add_argument("--in-order", action="store_true", help="keep the order of the dataset")


def run(args: argparse.Namespace) -> int:
    """Run one action; return 0, 1 for images that cannot be read, or 2 without an action."""
    if args.action is None:
        args.parser.print_help()
        return 2
    return args.action(args)


def _action(
    actions: argparse._SubParsersAction, name: str, action: Any, text: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(action=action)
    parser.add_argument("name", help="a registered dataset, or any name for your own data")
    parser.add_argument("--format", help="format of your data: icdar, labelme, coco, yolo-obb …")
    parser.add_argument("--images", type=Path, help="folder of your images")
    parser.add_argument("--labels", type=Path, help="folder of their label files, or a JSON file")
    parser.add_argument("--shards", metavar="SOURCE", help="folder or URL of your shards")
    parser.add_argument(
        "--limit", type=positive, help="number of images, evenly spread (default: all)"
    )
    return parser


def _read(args: argparse.Namespace) -> tuple[Any, list[Any]]:
    """The dataset dicts, and the reports of what was read."""
    from ..data.datasets.formats import read_folder
    from ..data.datasets.report import collect_reports
    from ..data.lazy import spread
    from ..data.loader import get_dataset_dicts
    from ..data.shards import open_shards

    dicts: Sequence[dict[str, Any]]
    if args.shards is not None:
        if args.format is not None:
            raise ValueError("--shards and --format exclude each other")
        dicts, reports = open_shards(args.shards), []
    elif args.format is not None:
        if args.images is None or args.labels is None:
            raise ValueError("--format needs --images and --labels")
        dicts, report = read_folder(args.format, args.images, args.labels, args.name)
        reports = [report]
    elif args.images is not None or args.labels is not None:
        raise ValueError("--images and --labels need --format")
    else:
        with collect_reports() as reports:
            dicts = get_dataset_dicts([args.name])
    return spread(dicts, args.limit or 0), reports


def _check(args: argparse.Namespace) -> int:
    from ..data.statistics import format_statistics, measure_dataset

    dicts, reports = _read(args)
    statistics = measure_dataset(dicts, decode=args.decode)
    print(format_statistics(args.name, statistics, reports))
    if args.json:
        numbers = {"name": args.name, **statistics.as_dict()}
        numbers["reports"] = [report.as_dict() for report in reports]
        write_output(args.json, json.dumps(numbers, indent=1))
    return 1 if statistics.broken else 0


def _browse(args: argparse.Namespace) -> int:
    from ..engine import load_config
    from ..inspection.browse import browse_dataset

    cfg = load_config(args.config_file, args.opts) if args.config_file else None
    if cfg is not None:
        from ..data.datasets.from_config import register_from_config

        register_from_config(cfg)
    dicts, _ = _read(args)
    page = browse_dataset(
        dicts, args.folder, args.stage, cfg, args.count, args.seed, title=args.name
    )
    print(page)
    return 0


def _convert(args: argparse.Namespace) -> int:
    from ..data.conversion import convert_dataset

    dicts, _ = _read(args)
    result = convert_dataset(dicts, args.folder, args.to, "link" if args.link else "copy")
    resumed = f", {result.resumed} of them from before" if result.resumed else ""
    images, texts = counted(result.images, "image"), counted(result.texts, "text")
    print(f"{args.folder}: {images}{resumed}, {texts} as {args.to}")
    for loss, number in result.losses.items():
        print(f"  not kept: {number} {loss}")
    return 0


def _shard(args: argparse.Namespace) -> int:
    from ..data.shards import write_shards
    from ..utils.progress_bar import progress_bar

    dicts, _ = _read(args)
    with progress_bar(len(dicts)) as bar:
        index = write_shards(
            dicts,
            args.folder,
            args.name,
            per_shard=args.per_shard,
            seed=None if args.in_order else args.seed,
            progress=lambda done, _: bar.update(done - bar.n),
        )
    images, shards = counted(len(dicts), "image"), counted(len(index["shards"]), "shard")
    print(f"{args.folder}: {images} in {shards}")
    return 0
