"""Progress of long jobs as JSON lines, which survive a kill at any time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .atomic import write_text

__all__ = ["read_json_lines"]


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read the objects of a file to which lines are appended, one object a line.

    A last line that was cut off is taken out of the file.

    Returns:
        The objects; none where there is no file.

    Raises:
        ValueError: a line is no JSON object.
    """
    if not path.is_file():
        return []
    text = path.read_text("utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_text(path, whole)
    records = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            records.append(json.loads(line))
        except ValueError:
            records.append(None)
        if not isinstance(records[-1], dict):
            raise ValueError(
                f"{path}, line {number}: is damaged, so what is finished is not known. Start again "
                "in another folder"
            )
    return records
