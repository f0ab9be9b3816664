"""What a run ends with: the evaluation after its last step, in one file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..utils.atomic import write_json

__all__ = ["read_results", "write_results"]

FILE = "results.json"


def write_results(
    folder: str | Path,
    iteration: int,
    validation: Mapping[str, float],
    test: Mapping[str, float],
) -> None:
    """Write ``results.json``.

    Args:
        folder: the run's OUTPUT_DIR.
        iteration: the last, from 0.
        validation: flattened results on DATASETS.VALIDATION, such as "text/hmean"; in percent.
        test: those on DATASETS.TEST.
    """
    record = {"iteration": iteration, "validation": dict(validation), "test": dict(test)}
    write_json(Path(folder, FILE), record, indent=1)


def read_results(folder: str | Path) -> dict[str, Any] | None:
    """Read what :func:`write_results` wrote; None where the run has not come to its end."""
    try:
        return json.loads(Path(folder, FILE).read_text("utf-8"))
    except FileNotFoundError:
        return None
