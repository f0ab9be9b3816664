"""Write a detector's network as an ONNX or TorchScript file."""

from __future__ import annotations

import argparse

__all__ = ["add_parser", "run"]

_EPILOG = """example:
  vlpt-d2 export --config-file detection/icdar2015/db_R_50.yaml --weights model_final.pth \\
      --format onnx --output db.onnx
The file takes images (N, 3, H, W), float32 in [0, 255], padded to multiples of 32, and returns
the head's maps; TextPredictor(weights=file, backend="onnx") finds the texts: docs/detectors.md."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb to the console script's parser."""
    parser = subparsers.add_parser(
        "export",
        help="write a detector's network as an ONNX or TorchScript file",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config-file", required=True, help="the detector's config")
    parser.add_argument("--weights", default="", help="a checkpoint (default: MODEL.WEIGHTS)")
    parser.add_argument(
        "--format", choices=("onnx", "torchscript"), default="onnx", help="format of the file"
    )
    parser.add_argument("--output", required=True, help="the file to write")
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="config options")
    parser.set_defaults(run=run, failed=1)


def run(args: argparse.Namespace) -> int:
    """Export; return 0."""
    from detectron2.utils.logger import setup_logger

    from ..engine import ConfigError, load_config
    from ..engine.models import build_model_with_weights
    from ..engine.threads import set_threads
    from ..export import export_detector

    setup_logger(name="vlpt_d2")
    opts = [*args.opts, "MODEL.DEVICE", "cpu"]
    cfg = load_config(args.config_file, opts)
    weights = args.weights or cfg.MODEL.WEIGHTS
    if not weights:
        raise ConfigError("name the checkpoint to export with --weights")
    set_threads(cfg)
    model = build_model_with_weights(cfg, weights)
    difference = export_detector(cfg, model, args.output, args.format)
    compared = "" if difference is None else f", maps within {difference:.1g} of the model's"
    print(f"{args.output}: {args.format}{compared}")
    return 0
