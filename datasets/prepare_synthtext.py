"""Index SynthText's gt.mat, once, for the dataset ``synthtext_train``.

    python datasets/prepare_synthtext.py $DETECTRON2_DATASETS/synthtext

Reads the annotations and the header of each of the 858,750 images, and writes ``index/`` next
to ``gt.mat``. Re-running it resumes.
"""

import argparse
import sys

from tqdm import tqdm

from vlpt_d2.data.datasets.synthtext import index_synthtext
from vlpt_d2.utils.environment import data_root
from vlpt_d2.utils.errors import run_script
from vlpt_d2.utils.numbers import positive


def main() -> None:
    """Parse the command line, index, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "root", nargs="?", help="folder of gt.mat; default: $DETECTRON2_DATASETS/synthtext"
    )
    parser.add_argument("--workers", type=positive, default=8, help="threads that read headers")
    parser.add_argument(
        "--skip-broken",
        action="store_true",
        help="leave out images that are missing or cannot be read",
    )
    args = parser.parse_args()
    with tqdm(unit="image") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = index_synthtext(
            args.root or data_root() / "synthtext",
            workers=args.workers,
            skip_broken=args.skip_broken,
            progress=progress,
        )
    print(f"{report.images} images, {report.words} words")
    for verb in ("repaired", "dropped", "notes"):
        for fault, number in getattr(report, verb).items():
            print(f"{verb}: {number} {fault} ({', '.join(report.examples[fault])})")


if __name__ == "__main__":
    sys.exit(run_script(main))
