"""Files that verbs write next to what they print."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..utils.atomic import write_text

__all__ = ["keep_inputs", "write_output"]


def keep_inputs(outputs: Iterable[Path | None], inputs: Iterable[str | Path | None]) -> None:
    """Check that no file to be written is one that is read, by its name or in a folder.

    Raises:
        ValueError: one is.
    """
    read = [Path(os.path.realpath(given)) for given in inputs if given and os.path.exists(given)]
    for path in outputs:
        if not path or not path.is_file():
            continue
        place = Path(os.path.realpath(path))
        # A score or page next to the files of a folder is not one of them.
        among = () if place.suffix in (".json", ".html") else place.parents
        if any(given in among or place.samefile(given) for given in read):
            raise ValueError(f"{path} is an input and would be overwritten: name another output")


def write_output(path: Path, text: str) -> None:
    """Write a file, whose folder is made, and print its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    print(f"written: {path}")
