"""What a run ends with: the evaluation after its last step, in one file."""

import itertools
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..utils.atomic import write_json

__all__ = ["has_metrics", "read_results", "remove_results", "trim_metrics", "write_results"]

FILE = "results.json"
METRICS = "metrics.json"

logger = logging.getLogger(__name__)


def write_results(
    folder: str | Path,
    iteration: int,
    validation: Mapping[str, float],
    test: Mapping[str, float],
    thresholds: Mapping[str, float],
    gpu_memory_mib: int = 0,
) -> None:
    """Write ``results.json``.

    Args:
        folder: the run's OUTPUT_DIR.
        iteration: the last, from 0.
        validation: flattened results on DATASETS.VALIDATION, such as "text/hmean"; in percent.
        test: those on DATASETS.TEST.
        thresholds: config keys to the values that were chosen for DATASETS.TEST; empty where they
            are those of the config.
        gpu_memory_mib: the most that tensors took of the main process's GPU; 0 on the CPU.
    """
    record = {
        "iteration": iteration,
        "validation": dict(validation),
        "test": dict(test),
        "thresholds": dict(thresholds),
        "gpu_memory_mib": gpu_memory_mib,
    }
    write_json(Path(folder, FILE), record, indent=1)


def read_results(folder: str | Path) -> dict[str, Any] | None:
    """Read what :func:`write_results` wrote.

    Returns:
        None where the run has not come to its end, or the file is damaged, which is logged.
    """
    path = Path(folder, FILE)
    try:
        results = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        results = None
    if _are_results(results):
        return results
    logger.warning("%s is damaged and not used", path)
    return None


def _are_results(content: Any) -> bool:
    return (
        isinstance(content, dict)
        and isinstance(content.get("iteration"), int)
        and all(
            isinstance(part := content.get(name), dict)
            and all(isinstance(value, int | float) for value in part.values())
            for name in ("validation", "test")
        )
    )


def remove_results(folder: str | Path) -> None:
    """Remove what an earlier run in the same folder ended with."""
    Path(folder, FILE).unlink(missing_ok=True)


def has_metrics(folder: str | Path, iteration: int, name: str) -> bool:
    """Whether ``metrics.json`` has a value of this name for an iteration."""
    try:
        lines = Path(folder, METRICS).read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return False
    return any(row["iteration"] == iteration and name in row for row in map(_row, lines) if row)


def trim_metrics(folder: str | Path, iteration: int) -> None:
    """Drop from ``metrics.json`` what a resumed run writes again.

    Args:
        folder: the run's OUTPUT_DIR.
        iteration: the first that is run again; so are lines cut off by a kill.
    """
    path = Path(folder, METRICS)
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return
    stays = [(row := _row(line)) is not None and row["iteration"] < iteration for line in lines]
    if all(stays):
        return
    first = stays.index(False)
    # In place: writers have the file open.
    with open(path, "r+b") as file:
        file.seek(sum(map(len, lines[:first])))
        file.writelines(itertools.compress(lines[first:], stays[first:]))
        file.truncate()


def _row(line: str | bytes) -> dict[str, Any] | None:
    """A line of ``metrics.json``; None where it is not whole."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("iteration"), int) else None
