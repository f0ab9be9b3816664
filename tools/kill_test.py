#!/usr/bin/env python
"""Kill trainings and comparisons with SIGKILL at seeded moments, and resume them.

Each must end with every file of an uninterrupted run, weights and the optimiser's state equal to
the last bit. The moments lie within, before and after each save, rename and removal of a file, and
between steps.
"""

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

# Before torch: children are forked, and more threads than free cores are slow.
os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from helpers.killing import kill_comparisons, kill_processes, kill_trainings

from vlpt_d2.utils.errors import run_script
from vlpt_d2.utils.numbers import natural


def main() -> int:
    """Parse the command line, kill, print what differs; return 1 if anything does."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--trainings", type=natural, default=28, help="kills of a training (default 28)")
    add("--comparisons", type=natural, default=18, help="kills of a comparison (default 18)")
    add("--processes", type=natural, default=4, help="kills from outside, with workers (default 4)")
    add("--seed", type=natural, default=0, help="seed of the moments")
    args = parser.parse_args()
    parts = {
        "training": (kill_trainings, args.trainings),
        "comparison": (kill_comparisons, args.comparisons),
        "process": (kill_processes, args.processes),
    }
    failures = []
    for name, (kill, count) in parts.items():
        if not count:
            continue
        with tempfile.TemporaryDirectory() as folder:
            failures += kill(Path(folder), count, args.seed, partial(_say, name))
    print(f"{sum(count for _, count in parts.values())} kills, {len(failures)} with a difference")
    return 1 if failures else 0


def _say(name: str, line: str) -> None:
    print(f"{name}: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(run_script(main))
