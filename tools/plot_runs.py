#!/usr/bin/env python
"""Draw one result of several runs over their iterations.

Example: python tools/plot_runs.py curves.png DB=output/db EAST=output/east
"""

import argparse
import sys
from pathlib import Path

from vlpt_d2.utils.errors import run_script
from vlpt_d2.visualization.curves import plot_bands, read_metrics


def main() -> None:
    """Parse the command line and write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path, help="picture to write")
    parser.add_argument("runs", nargs="+", metavar="NAME=FOLDER", help="output folders of runs")
    parser.add_argument("--result", default="text/hmean", help="default: text/hmean")
    parser.add_argument("--title", default="")
    args = parser.parse_args()
    runs = {}
    for run in args.runs:
        name, separator, folder = run.partition("=")
        if not separator:
            parser.error(f"{run!r} is not NAME=FOLDER")
        curves = read_metrics(Path(folder) / "metrics.json")
        if args.result not in curves:
            parser.error(f"{folder} has no {args.result!r}, but {', '.join(sorted(curves))}")
        runs[name] = [curves[args.result]]
    plot_bands({args.title: runs}, args.output, args.result)


if __name__ == "__main__":
    sys.exit(run_script(main))
