"""Write a detector as an ONNX or TorchScript file, or as a bundle that runs without torch."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from .outputs import keep_inputs

EPILOG = """examples:
  vlpt-d2 export --config-file detection/icdar2015/db_R_50.yaml --weights model_final.pth \\
      --format onnx --output db.onnx
  vlpt-d2 export --model db_mobile --format bundle --output detector
  vlpt-d2 export --model db_mobile --int8 datasets/icdar2015/ch4_training_images --output db.onnx
The file takes images (N, 3, H, W), float32 in [0, 255], padded to multiples of 32, and returns
the head's maps. TextPredictor(weights=file, backend="onnx") finds text with it: docs/detectors.md.
A bundle is a folder with the ONNX file, its settings and the modules that find text with it."""

# How many images the ranges of int8 are measured on.
_CALIBRATION_IMAGES = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help="a model of the zoo")
    parser.add_argument("--config-file", help="config of your own detector, instead of --model")
    parser.add_argument("--weights", default="", help="its checkpoint (default: MODEL.WEIGHTS)")
    parser.add_argument(
        "--format", choices=("onnx", "torchscript", "bundle"), default="onnx", help="output format"
    )
    parser.add_argument(
        "--int8",
        type=Path,
        metavar="FOLDER",
        help="quantise convolutions to 8 bits, with ranges measured on "
        f"{_CALIBRATION_IMAGES} images of the folder",
    )
    parser.add_argument("--output", required=True, type=Path, help="the file or folder to write")
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="config options")


def run(args: argparse.Namespace) -> int:
    """Export; return 0."""
    from detectron2.utils.logger import setup_logger

    from ..data.image_io import read_image
    from ..engine import ConfigError, load_config
    from ..engine.models import build_model_with_weights
    from ..engine.threads import set_threads
    from ..export import export_detector
    from ..export.bundle import check_folder, write_bundle
    from ..model_zoo.models import PREFIX, get_checkpoint, get_detector

    keep_inputs([args.output], (args.config_file, args.weights))
    bundle = args.format == "bundle"
    setup_logger(name="vlpt_d2").setLevel(logging.INFO)  # not every layer of the network
    if bool(args.model) == bool(args.config_file):
        raise ConfigError("name a model of the zoo or a config: --model or --config-file")
    if args.int8 and args.format == "torchscript":
        raise ConfigError("--int8 is for the formats onnx and bundle")
    if bundle:
        check_folder(args.output)
    elif args.output.is_dir():
        raise ConfigError(f"{args.output} is a folder: name the file to write")
    images = _calibration_images(args.int8) if args.int8 else []
    config, weights = args.config_file, args.weights
    if args.model:
        config = get_detector(args.model).config
        if not weights:
            get_checkpoint(args.model)  # before the time that building takes
            weights = f"{PREFIX}{args.model}"
    cfg = load_config(config, [*args.opts, "MODEL.DEVICE", "cpu"])
    weights = weights or cfg.MODEL.WEIGHTS
    if not weights:
        raise ConfigError("name the checkpoint to export with --weights")
    set_threads(cfg)
    model = build_model_with_weights(cfg, weights, needed="text_head.")
    path = args.output / "model.onnx" if bundle else args.output
    difference = export_detector(cfg, model, path, "onnx" if bundle else args.format)
    compared = "" if difference is None else f", maps within {difference:.1g} of the model's"
    if args.int8:
        from ..export.quantize import quantize_onnx

        quantize_onnx(path, (read_image(image, str(image)) for image in images))
        compared += ", then in 8 bits"
    if bundle:
        write_bundle(path, args.output)
    print(f"{args.output}: {args.format}{compared}")
    return 0


def _calibration_images(folder: Path) -> list[Path]:
    """Images from all over a folder."""
    from ..data.datasets.image_files import list_images

    files = list_images([folder], "expected a folder of images, such as those of the training")
    step = max(1, len(files) // _CALIBRATION_IMAGES)
    return files[::step][:_CALIBRATION_IMAGES]
