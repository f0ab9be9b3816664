"""Small files that appear whole or not at all, whenever the process is killed."""

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["write_json", "write_text"]


def write_text(path: str | Path, text: str) -> None:
    """Write a text in UTF-8, in place of what was there.

    Args:
        path: the file; ``<path>.part`` is used on the way.
        text: its new content.
    """
    part = f"{path}.part"
    Path(part).write_text(text, encoding="utf-8")
    os.replace(part, path)


def write_json(path: str | Path, data: Any, indent: int | None = None) -> None:
    """Write plain data as JSON, in place of what was there.

    Args:
        path: see :func:`write_text`.
        data: what JSON can hold.
        indent: of nested values; None: all on one line.
    """
    write_text(path, json.dumps(data, indent=indent))
