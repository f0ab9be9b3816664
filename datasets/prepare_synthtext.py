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


def main() -> int:
    """Run the script; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "root", nargs="?", help="folder of gt.mat; default: $DETECTRON2_DATASETS/synthtext"
    )
    parser.add_argument("--workers", type=int, default=8, help="threads that read image headers")
    parser.add_argument(
        "--skip-broken",
        action="store_true",
        help="leave out images that are missing or cannot be read",
    )
    args = parser.parse_args()
    bar = tqdm(unit="image")

    def progress(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    try:
        report = index_synthtext(
            args.root or data_root() / "synthtext",
            workers=args.workers,
            skip_broken=args.skip_broken,
            progress=progress,
        )
    except (OSError, ValueError, RuntimeError) as error:
        bar.close()
        print(f"prepare_synthtext: {error}", file=sys.stderr)
        return 2
    bar.close()
    print(f"{report.images} images, {report.words} words")
    for verb in ("repaired", "dropped", "notes"):
        for fault, number in getattr(report, verb).items():
            print(f"{verb}: {number} {fault} ({', '.join(report.examples[fault])})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
