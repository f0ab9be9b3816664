#!/usr/bin/env python
"""Write the ResNet of a checkpoint, of this or another project, to a trunk file.

The file has this project's names, which detectron2's own models read too, or another project's.
docs/checkpoints.md lists what is read and written.
"""

import argparse
import logging

from vlpt_d2.checkpoint import EXPORT_LAYOUTS, describe_trunk, extract_trunk
from vlpt_d2.checkpoint.metadata import TRUNK_ENTRIES
from vlpt_d2.engine import load_config


def main() -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="a checkpoint or weights of any layout that is read")
    parser.add_argument("output", help="a new file, .pth or .safetensors")
    parser.add_argument(
        "--layout", choices=EXPORT_LAYOUTS, default="vlpt_d2", help="whose names the file gets"
    )
    parser.add_argument(
        "--config-file",
        default="",
        help="what the trunk was trained with, where the checkpoint does not record it; or other "
        "pixels that it will be used with",
    )
    parser.add_argument("opts", nargs="*", help="KEY value pairs on top of it")
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
    main()
