"""Compare pre-trainings: run the unfinished runs of a grid, then write tables and a plot.

Re-running the command resumes interrupted and failed runs."""

from __future__ import annotations

import argparse
import signal
import sys

from ..utils.numbers import natural, positive, seconds

EPILOG = """examples:
  vlpt-d2 compare transfer --threads 1            # needs the trunk of docs/results.md
  vlpt-d2 compare transfer --report-only          # tables of the finished runs
  vlpt-d2 compare paper --jobs 2 --num-gpus 4     # on 8 GPUs
  vlpt-d2 compare my_grid.yaml SOLVER.MAX_ITER 100 --jobs 2 --output output/try
Exit status: 0 if the whole grid is finished; 1 if a run is not (the messages say why); 2 if the
grid file or the GPUs cannot be used; 130 if interrupted."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("grid", help="a grid file, or the name of one that comes with the package")
    add("--jobs", type=positive, default=1, help="runs at once (default 1)")
    add(
        "--threads",
        type=natural,
        default=0,
        help="threads of each run; 0 (default): the cores divided among the jobs",
    )
    add(
        "--num-gpus",
        type=natural,
        default=0,
        metavar="N",
        help="GPUs of each run (default: 1 if there are any, shared if there are fewer than jobs)",
    )
    add("--output", help="folder of runs and tables (default: the grid's)")
    add("--report-only", action="store_true", help="run nothing, only write the tables")
    add("--report-to", metavar="FOLDER", help="also write tables and plot here")
    add("--every", type=seconds, default=60.0, metavar="S", help="seconds between progress lines")
    add("opts", nargs="*", metavar="KEY VALUE", help="config options of every run")


def run(args: argparse.Namespace) -> int:
    """Compare; the exit status is described in the help."""
    from ..comparison.gpus import share_gpus, visible_gpus
    from ..comparison.grid import read_grid
    from ..comparison.report import write_report
    from ..comparison.runner import Runner
    from ..engine import load_config
    from ..utils.environment import usable_cores

    grid = read_grid(args.grid, args.opts, args.output)
    # Here once, not by every run.
    for arm in grid.pretrainings:
        for options in (arm.options, arm.finetune_options):
            load_config(opts=[*grid.options, *options])
    jobs = max(1, args.jobs)
    gpus = share_gpus(jobs, args.num_gpus, visible_gpus())

    def update() -> None:
        try:
            write_report(grid)
        except (OSError, ValueError) as error:
            print(f"vlpt-d2 compare: no tables yet: {error}", file=sys.stderr, flush=True)

    interrupted = False
    if not args.report_only:
        runner = Runner(
            jobs=jobs,
            gpus=gpus,
            threads=args.threads or max(1, usable_cores() // jobs),
            say=lambda line: print(line, flush=True),
            after_run=update,
            interval=args.every,
        )
        former = signal.signal(signal.SIGTERM, _interrupt)
        try:
            runner(grid.runs)
        except KeyboardInterrupt:
            interrupted = True
            print("interrupted; the same command resumes from the last checkpoints", flush=True)
        except OSError as error:
            print(
                f"vlpt-d2 compare: {error}; all runs are stopped, and the same command resumes "
                "them",
                file=sys.stderr,
            )
            return 1
        finally:
            signal.signal(signal.SIGTERM, former)
    report = write_report(grid)
    if args.report_to:
        report = write_report(grid, args.report_to)
    print(f"\n{report.text}\nwritten: {', '.join(map(str, report.files))}")
    for problem in report.problems:
        print(f"vlpt-d2 compare: {problem}", file=sys.stderr)
    if interrupted:
        return 130
    return 0 if report.complete else 1


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
