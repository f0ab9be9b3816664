"""Find text in very many images with several processes, and write Parquet files."""

from __future__ import annotations

import argparse

from ..utils.names import counted
from ..utils.numbers import natural, positive
from .predictor_arguments import add_predictor_arguments, predictor_arguments

EPILOG = """examples:
  vlpt-d2 bulk photos --output texts --backend onnx
  vlpt-d2 bulk s3://bucket/photos --output s3://bucket/texts --ray 16 --batch 8
  torchrun --nproc-per-node 8 -m vlpt_d2.cli.main bulk shards --output texts --batch 8
INPUT is a folder, searched recursively for images and WebDataset tar files, or a URI that pyarrow
opens. Every 1000 images, and every tar file, become one Parquet file, which appears only when it is
complete. Re-running the command writes the missing files. An image that cannot be read becomes a
row with an error. Needs pyarrow, and Ray for --ray: pip install 'vlpt-d2[bulk]'.
Exit status: 0; 2 for wrong arguments or if the output cannot be written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(resumes=True)
    add = parser.add_argument
    add("source", metavar="INPUT", help="a folder, or a URI such as s3://bucket/prefix")
    add("--output", required=True, help="a folder or a URI")
    add("--per-shard", type=positive, default=1000, metavar="N", help="images per Parquet file")
    add("--ray", type=natural, default=0, metavar="N", help="use N workers of Ray")
    add_predictor_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Detect and write; return 0."""
    try:
        import pyarrow  # noqa: F401

        if args.ray:
            import ray.data  # noqa: F401
    except ImportError as error:
        raise ImportError(f"{error}: pip install 'vlpt-d2[bulk]'") from error
    from ..bulk import detect_bulk

    done = detect_bulk(
        args.source,
        args.output,
        per_shard=args.per_shard,
        ray_workers=args.ray,
        **predictor_arguments(args),
    )
    before = f", {done.resumed} of them from earlier runs" if done.resumed else ""
    failed = f"; {done.failed} could not be read" if done.failed else ""
    shards, images = counted(done.shards, "shard"), counted(done.images, "image")
    print(f"{args.output}: {shards}{before}, {images}{failed}")
    return 0
