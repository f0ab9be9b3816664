"""Files that verbs write next to what they print."""

from __future__ import annotations

from pathlib import Path

from ..utils.atomic import write_text

__all__ = ["write_output"]


def write_output(path: Path, text: str) -> None:
    """Write a file, whose folder is made, and print its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    print(f"written: {path}")
