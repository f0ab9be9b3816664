"""Print time and memory of a detector's training step and inference, by stage."""

from __future__ import annotations

import argparse
import os

from ..utils.names import counted
from ..utils.numbers import natural, positive

EPILOG = """example that needs no dataset:
  vlpt-d2 profile --config-file quickstart/db_rendered.yaml SOLVER.IMS_PER_BATCH 4
Images, sizes, batches, device and precision are those of the config. "ms" is CPU time; on a GPU
"GPU ms" is the time of the kernels that a stage launches. FLOP are those of convolutions, matrix
products and attention. benchmarks/bench_data_path.py breaks down the stage "data"."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config-file", required=True, help="the detector's config")
    parser.add_argument(
        "--steps", type=positive, default=5, help="steps to measure; means are printed"
    )
    parser.add_argument("--warmup", type=natural, default=2, help="steps before the measured ones")
    parser.add_argument(
        "--only", choices=("training", "inference"), help="profile only this one (default: both)"
    )
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="config options")


def run(args: argparse.Namespace) -> int:
    """Measure and print; return 0."""
    # Read when torch is loaded: its profiler logs each start and end to the console.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    from ..data.datasets.from_config import register_from_config
    from ..engine import load_config
    from ..engine.profile import profile_inference, profile_training
    from ..engine.threads import set_threads

    parts = {"training": profile_training, "inference": profile_inference}
    cfg = load_config(args.config_file, args.opts)
    register_from_config(cfg)
    threads = set_threads(cfg)
    print(
        f"{cfg.MODEL.TEXT_HEAD.NAME} on {cfg.MODEL.BACKBONE.NAME}, {cfg.MODEL.DEVICE}, "
        f"{counted(threads, 'thread')}"
    )
    for name, measure in parts.items():
        if args.only in (None, name):
            print(f"\n{measure(cfg, args.steps, args.warmup).table()}", flush=True)
    return 0
