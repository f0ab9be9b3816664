#!/usr/bin/env python
"""Write the ResNet of a checkpoint, of this or another project, to a trunk file.

The file has the names of this project, which detectron2's own models read too, or of another one.
docs/checkpoints.md lists the layouts.
"""

import argparse
import logging
import sys

from vlpt_d2.checkpoint import EXPORT_LAYOUTS, describe_trunk, extract_trunk
from vlpt_d2.checkpoint.metadata import TRUNK_ENTRIES
from vlpt_d2.engine import load_config
from vlpt_d2.utils.errors import run_script


def main() -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="a checkpoint in any supported layout")
    parser.add_argument("output", help="a new file, .pth or .safetensors")
    parser.add_argument(
        "--layout", choices=EXPORT_LAYOUTS, default="vlpt_d2", help="layout of the output"
    )
    parser.add_argument(
        "--config-file",
        default="",
        help="how the trunk was trained, if the checkpoint does not record it; or other "
        "pixels that it will be used with",
    )
    parser.add_argument("opts", nargs="*", help="config options")
    args = parser.parse_intermixed_args()
    if args.opts and not args.config_file:
        parser.error("KEY value pairs need a --config-file that they are on top of")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    described = None
    if args.config_file:
        described = describe_trunk(load_config(args.config_file, args.opts))
    count, trunk = extract_trunk(args.checkpoint, args.output, described, args.layout)
    print(f"{args.output}: {count} tensors with the names of {args.layout}")
    for name, value in trunk.items():
        print(f"  {name}: {value}")
    if unknown := [name for name in TRUNK_ENTRIES if name not in trunk]:
        print(f"  not known: {', '.join(unknown)} (--config-file records them)")


if __name__ == "__main__":
    sys.exit(run_script(main))
