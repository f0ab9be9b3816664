"""Unpack the downloaded archives of a dataset into the tree that its reader expects.

    python datasets/prepare.py icdar2015 --archives ~/Downloads

Verifies published checksums. Re-running it resumes, and adds archives that arrived later.
"""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from vlpt_d2.config import load_parts
from vlpt_d2.data.datasets.archives import prepare_dataset
from vlpt_d2.data.datasets.builtin import DATASETS
from vlpt_d2.utils.environment import data_root
from vlpt_d2.utils.errors import run_script


def main() -> None:
    """Parse the command line, unpack, and print what comes next."""
    load_parts()  # plugins may have datasets
    names = sorted(name for name, dataset in DATASETS.items() if dataset.archives)
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset", choices=names, metavar="DATASET")
    parser.add_argument("--archives", type=Path, default=".", help="folder of the downloads")
    parser.add_argument("--root", type=Path, help="folder of all datasets; $DETECTRON2_DATASETS")
    parser.add_argument("--no-checksum", action="store_true", help="do not compare checksums")
    args = parser.parse_args()
    root = args.root or data_root()
    with tqdm(unit="B", unit_scale=True) as bar:

        def progress(name: str, done: int, total: int) -> None:
            if bar.desc != f"{name}: ":
                bar.reset(total)
                bar.set_description(name)
            bar.update(done - bar.n)

        unpacked, missing = prepare_dataset(
            args.dataset, args.archives, root, check=not args.no_checksum, progress=progress
        )
    for name, files in unpacked.items():
        print(f"{name}: {files} files in {root / args.dataset}")
    if missing:
        print(f"not there: {', '.join(missing)}")
    step = DATASETS[args.dataset].next_step or f"vlpt-d2 data check {args.dataset}_train"
    print(f"next: {step.format(root=root / args.dataset)}")


if __name__ == "__main__":
    sys.exit(run_script(main))
