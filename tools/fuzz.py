#!/usr/bin/env python
"""Read thousands of damaged files; an error of the project's own is right, anything else is not.

What counts as a failure: a bare traceback, a hang, a crash, more than a gigabyte of memory, and a
file that is read as empty without a word. Each is printed with the command that repeats it.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from helpers.fuzzing import all_targets, run_target

from vlpt_d2.utils.errors import run_script
from vlpt_d2.utils.numbers import natural, seconds


def main() -> int:
    """Parse the command line, run the cases, print what failed; return 1 if anything did."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--targets", nargs="+", default=[], help="names, or beginnings of names (default: all)")
    add("--count", type=natural, help="cases of each target (default: its own, see --list)")
    add("--first", type=natural, default=0, help="the number of the first case")
    add("--seed", type=natural, default=0, help="seed of the damages")
    add("--seconds", type=seconds, default=600.0, help="time limit")
    add("--keep", type=Path, help="folder for the damaged files of failed cases")
    add("--list", action="store_true", help="only list the targets")
    args = parser.parse_args()
    targets = all_targets()
    if args.targets:
        targets = [t for t in targets if t.name.startswith(tuple(args.targets))]
        if not targets:
            parser.error("there is no such target; --list names them")
    counts = [t.count if args.count is None else args.count for t in targets]
    if args.list:
        for target, count in zip(targets, counts):
            print(f"{target.name:<32} {count}")
        return 0
    end = time.monotonic() + args.seconds
    failed = 0
    for position, (target, count) in enumerate(zip(targets, counts)):
        # What the targets before did not use is there for those after.
        share = count / max(sum(counts[position:]), 1)
        left = (end - time.monotonic()) * share * (2 if position + 1 < len(targets) else 1)
        numbers = range(args.first, args.first + count)
        failures, done = run_target(target, args.seed, numbers, left, args.keep)
        cut = "" if done == count else f" of {count}: the time was up"
        print(f"{target.name}: {done} files{cut}, {len(failures)} failures", flush=True)
        for failure in failures:
            print(f"  {failure.reason}")
            print(
                f"    python tools/fuzz.py --targets {failure.target} --seed {failure.seed} "
                f"--first {failure.number} --count 1 --keep fuzz_failures"
            )
            for line in failure.details.splitlines()[-6:]:
                print(f"    | {line}")
        failed += len(failures)
    print(f"{failed} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(run_script(main))
