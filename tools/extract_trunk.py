#!/usr/bin/env python
"""Write the ResNet of a checkpoint to a trunk file, for detectron2's own models too."""

import argparse

from vlpt_d2.checkpoint import describe_trunk, extract_trunk
from vlpt_d2.engine import load_config


def main() -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", help="a checkpoint of pre-training or of a detector")
    parser.add_argument("output", help="a new file, .pth or .safetensors")
    parser.add_argument(
        "--config-file",
        default="",
        help="what the trunk was trained with, where the checkpoint does not record it",
    )
    parser.add_argument("opts", nargs="*", help="KEY value pairs on top of it")
    args = parser.parse_intermixed_args()
    described = None
    if args.config_file:
        described = describe_trunk(load_config(args.config_file, args.opts))
    count, trunk = extract_trunk(args.checkpoint, args.output, described)
    print(f"{args.output}: {count} tensors")
    for name, value in trunk.items():
        print(f"  {name}: {value}")


if __name__ == "__main__":
    main()
