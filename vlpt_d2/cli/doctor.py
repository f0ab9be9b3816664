"""``vlpt-d2 doctor``: check the installation, the machine and the data, and name remedies."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator

from .checks import data, installation, machine
from .checks.finding import Finding, Level

__all__ = ["CHECKS", "add_parser", "run"]

# In the order of the report; later ones may rest on what earlier ones found.
CHECKS = (
    installation.check_python,
    installation.check_torch,
    installation.check_torchvision,
    installation.check_detectron2,
    installation.check_model_zoo,
    installation.check_opencv,
    installation.check_requirements,
    installation.check_plugin,
    installation.check_extras,
    machine.check_gpu,
    machine.check_threads,
    data.check_package_data,
    data.check_datasets,
)
_MARKS = {Level.OK: "ok   ", Level.NOTE: "note ", Level.FAULT: "FAULT"}


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "doctor",
        help="check the installation, the machine and the data",
        description="Check the installation, the machine and the data. The exit status is 1 if "
        "something stops training; notes do not.",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print every finding, with its remedy; return 1 if one of them stops training."""
    levels: Counter[Level] = Counter()
    for finding in examine():
        levels[finding.level] += 1
        print(f"{_MARKS[finding.level]} {finding.subject}: {finding.text}")
        if finding.remedy:
            indent = " " * (len(_MARKS[Level.OK]) + 1)
            for line in finding.remedy.splitlines():
                print(f"{indent}-> {line}")
    faults = levels[Level.FAULT]
    print(f"\n{faults} faults, {levels[Level.NOTE]} notes")
    if faults:
        print("Training cannot run until the faults are fixed.")
    return 1 if faults else 0


def examine() -> Iterator[Finding]:
    """Run all checks; one that fails itself is a fault of what it looked at."""
    for check in CHECKS:
        try:
            yield from check()
        except Exception as error:
            subject = check.__name__.removeprefix("check_")
            yield Finding.fault(subject, f"{type(error).__name__}: {error}")
