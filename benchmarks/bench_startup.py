#!/usr/bin/env python
"""Processor time of starting: the command line and the package, next to Python alone."""

import argparse
import os
import resource
import statistics
import subprocess
import sys

from tabulate import tabulate

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import vlpt_d2": ["-c", "import vlpt_d2"],
    "vlpt-d2 --version": ["-m", "vlpt_d2.cli.main", "--version"],
    "vlpt-d2 --help": ["-m", "vlpt_d2.cli.main", "--help"],
    "vlpt-d2 train --help": ["-m", "vlpt_d2.cli.main", "train", "--help"],
    "vlpt-d2 detect --help": ["-m", "vlpt_d2.cli.main", "detect", "--help"],
    "import torch": ["-c", "import torch"],
    "get_cfg()": ["-c", "import vlpt_d2; vlpt_d2.get_cfg()"],
}


def processor_time(arguments: list[str]) -> float:
    """Seconds of user and system time of a Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Start each command several times, in turns, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="starts of each command")
    args = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for arguments in COMMANDS.values():  # bytecode and the disk's cache
        processor_time(arguments)
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(args.repeats):
        for name, arguments in COMMANDS.items():
            seconds[name].append(processor_time(arguments))
    bare = statistics.median(seconds["python -c pass"])
    rows = [
        (
            name,
            statistics.median(values),
            min(values),
            max(values),
            statistics.median(values) / bare,
        )
        for name, values in seconds.items()
    ]
    headers = ["command", "median s", "lowest", "highest", "times python -c pass"]
    print(tabulate(rows, headers=headers, floatfmt=(".0f", ".3f", ".3f", ".3f", ".1f")))


if __name__ == "__main__":
    main()
