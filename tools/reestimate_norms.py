#!/usr/bin/env python
"""Restore trainable batch norms in a trunk with folded ones; write a trunk file."""

import argparse
import sys

import torch
from detectron2.layers import ShapeSpec

from vlpt_d2.checkpoint import (
    TRUNK_PREFIX,
    TextCheckpointer,
    describe_trunk,
    reestimate_norms,
    save_trunk,
)
from vlpt_d2.checkpoint.trunk import check_trunk_path
from vlpt_d2.data.images import image_batches
from vlpt_d2.engine import load_config
from vlpt_d2.engine.threads import set_threads
from vlpt_d2.modeling.backbone.trunk import build_resnet_trunk
from vlpt_d2.utils.errors import run_script
from vlpt_d2.utils.numbers import positive


def main() -> None:
    """Parse the command line, measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", help="the trunk with folded norms")
    parser.add_argument("images", help="a folder of photographs")
    parser.add_argument("output", help="a new file, .pth or .safetensors")
    parser.add_argument("--config-file", default="", help="the trunk's depth, width, pixels …")
    parser.add_argument("--size", type=positive, default=320, help="side of the images in pixels")
    parser.add_argument("--limit", type=positive, default=128, help="number of images")
    parser.add_argument("opts", nargs="*", help="config options")
    args = parser.parse_intermixed_args()
    check_trunk_path(args.output)
    cfg = load_config(args.config_file, args.opts)
    set_threads(cfg)
    model = torch.nn.Module()
    trunk = model.backbone = build_resnet_trunk(cfg, ShapeSpec(channels=len(cfg.MODEL.PIXEL_MEAN)))
    TextCheckpointer(model, cfg=cfg).load(args.weights)
    batches = image_batches(cfg, args.images, size=args.size, limit=args.limit)
    norms = reestimate_norms(trunk, batches)
    count = save_trunk(model.state_dict(), describe_trunk(cfg), args.output)
    print(f"{args.output}: {count} tensors below {TRUNK_PREFIX}, {norms} norms measured")


if __name__ == "__main__":
    sys.exit(run_script(main))
