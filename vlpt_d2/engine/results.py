"""What a run ends with: the evaluation after its last step, in one file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..utils.atomic import write_json

__all__ = ["has_metrics", "read_results", "remove_results", "write_results"]

FILE = "results.json"


def write_results(
    folder: str | Path,
    iteration: int,
    validation: Mapping[str, float],
    test: Mapping[str, float],
    gpu_memory_mib: int = 0,
) -> None:
    """Write ``results.json``.

    Args:
        folder: the run's OUTPUT_DIR.
        iteration: the last, from 0.
        validation: flattened results on DATASETS.VALIDATION, such as "text/hmean"; in percent.
        test: those on DATASETS.TEST.
        gpu_memory_mib: the most that tensors took of the main process's GPU; 0 on the CPU.
    """
    record = {
        "iteration": iteration,
        "validation": dict(validation),
        "test": dict(test),
        "gpu_memory_mib": gpu_memory_mib,
    }
    write_json(Path(folder, FILE), record, indent=1)


def read_results(folder: str | Path) -> dict[str, Any] | None:
    """Read what :func:`write_results` wrote; None where the run has not come to its end."""
    try:
        return json.loads(Path(folder, FILE).read_text("utf-8"))
    except FileNotFoundError:
        return None


def remove_results(folder: str | Path) -> None:
    """Remove what an earlier run in the same folder ended with."""
    Path(folder, FILE).unlink(missing_ok=True)


def has_metrics(folder: str | Path, iteration: int, name: str) -> bool:
    """Whether ``metrics.json`` has a value of this name for an iteration."""
    try:
        lines = Path(folder, "metrics.json").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return False
    for line in lines:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue  # cut off by a kill
        if isinstance(row, dict) and row.get("iteration") == iteration and name in row:
            return True
    return False
