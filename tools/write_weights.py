#!/usr/bin/env python
"""Write a model's weights in 16 bits as a .safetensors file, in the model zoo's format.

Prints the file's SHA-256, for the table in vlpt_d2/model_zoo/models.py. Next to it a detector's
graph is written as an .onnx file, which has no weights.
"""

import argparse
import hashlib
import sys
from pathlib import Path

from detectron2.utils.file_io import PathManager

from vlpt_d2.checkpoint import describe_trunk, save_weights
from vlpt_d2.checkpoint.files import read_checkpoint
from vlpt_d2.engine import load_config
from vlpt_d2.engine.models import build_model_with_weights
from vlpt_d2.export.write import write_graph
from vlpt_d2.modeling.detection.text_detector import TextDetector
from vlpt_d2.utils.errors import run_script


def main() -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="such as model_best.pth")
    parser.add_argument("output", type=Path, help="the file to write")
    parser.add_argument("--config-file", required=True, help="the config it was trained with")
    parser.add_argument(
        "--base", default="", help="leave out the weights of this model of the zoo, vlpt://NAME"
    )
    parser.add_argument("opts", nargs="*", help="config options")
    args = parser.parse_intermixed_args()
    if args.output.suffix != ".safetensors":
        parser.error(f"{args.output}: the file to write ends in .safetensors")
    cfg = load_config(args.config_file, [*args.opts, "MODEL.DEVICE", "cpu"])
    weights = read_checkpoint(args.checkpoint)["model"]
    if args.base:
        base = read_checkpoint(PathManager.get_local_path(args.base))["model"]
        weights = {name: value for name, value in weights.items() if name not in base}
    content = save_weights(weights, describe_trunk(cfg), args.output, args.base)
    model = build_model_with_weights(cfg, str(args.output))
    if isinstance(model, TextDetector):
        write_graph(cfg, model, args.output.with_suffix(".onnx"))
    print(f"{args.output}: {len(content)} bytes")
    print(f"sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    sys.exit(run_script(main))
