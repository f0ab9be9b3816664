"""Files that verbs write next to what they print."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..utils.atomic import write_text

__all__ = ["keep_inputs", "write_output"]


def keep_inputs(outputs: Iterable[Path | None], inputs: Iterable[str | Path | None]) -> None:
    """Check that no file to be written is one that is read.

    Raises:
        ValueError: one is.
    """
    read = [given for given in inputs if given and os.path.exists(given)]
    for path in outputs:
        if path and path.exists() and any(os.path.samefile(path, given) for given in read):
            raise ValueError(f"{path} is an input and would be overwritten: name another output")


def write_output(path: Path, text: str) -> None:
    """Write a file, whose folder is made, and print its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    print(f"written: {path}")
