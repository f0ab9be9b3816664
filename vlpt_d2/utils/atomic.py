"""Small files that appear whole or not at all, whenever the process is killed."""

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["write_json"]


def write_json(path: str | Path, data: Any, indent: int | None = None) -> None:
    """Write plain data as JSON, in place of what was there.

    Args:
        path: the file; ``<path>.part`` is used on the way.
        data: what JSON can hold.
        indent: of nested values; None: all on one line.
    """
    part = f"{path}.part"
    Path(part).write_text(json.dumps(data, indent=indent), encoding="utf-8")
    os.replace(part, path)
