"""The progress of long work: a bar on a terminal, a line now and then in a log."""

import sys
from typing import Any

from tqdm import tqdm

__all__ = ["progress_bar"]

# Seconds between the lines of a log; work that takes less has none.
_INTERVAL = 30.0


class _Lines:
    """Standard error with a line for each state of the bar, which else overwrites the last one."""

    def write(self, text: str) -> None:
        sys.stderr.write(text.replace("\r", "\n"))

    def flush(self) -> None:
        sys.stderr.flush()


def progress_bar(total: int, initial: int = 0, **options: Any) -> tqdm:
    """Make a bar, with the time left, for a ``with`` statement.

    Args:
        total: number of steps.
        initial: of them, those that were done before.
        options: further ones of tqdm, such as its unit ("image" if not given).
    """
    options = {"total": total, "initial": initial, "unit": "image", **options}
    if not sys.stderr.isatty():
        options |= {"file": _Lines(), "mininterval": _INTERVAL, "delay": _INTERVAL, "ncols": 80}
    return tqdm(**options)
