#!/usr/bin/env python
"""Draw one result of several runs over their iterations.

Example: python tools/plot_runs.py curves.png DB=output/db EAST=output/east
"""

import argparse
from pathlib import Path

from vlpt_d2.visualization.curves import plot_runs


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
        runs[name] = Path(folder) / "metrics.json"
    plot_runs(runs, args.result, args.output, args.title)


if __name__ == "__main__":
    main()
