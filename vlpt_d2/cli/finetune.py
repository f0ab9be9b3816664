"""Fine-tune a detector of the model zoo on your own labelled photographs."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..utils.numbers import natural

EPILOG = """examples:
  vlpt-d2 finetune --images photos --labels photos --output signs
  vlpt-d2 finetune --images photos --labels labels.json --model ppocrv6_small --output lines
At least 10 images must have text. A fifth of them is held out, to choose weights and thresholds.
The output folder gets model.safetensors, config.yaml, model.onnx, report.html, training.png and
results.json. The same command resumes an interrupted run. To use the detector:
  vlpt-d2 detect photo.jpg --config-file signs/config.yaml --weights signs/model.safetensors"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(resumes=True)
    add = parser.add_argument
    add("--images", type=Path, required=True, help="folder of the images")
    add("--labels", type=Path, required=True, help="folder of the label files, or a COCO file")
    add("--format", help="icdar, labelme, coco, yolo-obb … (default: guessed from the suffix)")
    add("--model", default="db_mobile", help="the model to start from (default: db_mobile)")
    add("--output", type=Path, required=True, help="the folder to write")
    add("--seed", type=natural, default=0, help="seed of the split and the training (default: 0)")
    add("opts", nargs="*", metavar="KEY VALUE", help="config options")


def run(args: argparse.Namespace) -> int:
    """Fine-tune and print the results; return 0."""
    from tabulate import tabulate

    from ..engine.finetune import finetune

    results = finetune(
        args.images, args.labels, args.output, args.format, args.model, args.seed, args.opts
    )
    rows = [(name, results["before"][name], value) for name, value in results["after"].items()]
    held_out = f"{results['images']['validation']} held-out images"
    print(tabulate(rows, headers=[held_out, "before", "after"], floatfmt=".1f"))
    print(f"{args.output}: {results['steps']} steps, {results['minutes']} minutes; see report.html")
    return 0
