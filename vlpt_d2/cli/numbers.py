"""Types of numeric arguments."""

from __future__ import annotations

import argparse

__all__ = ["natural", "positive"]


def natural(text: str) -> int:
    """Parse a whole number of at least 0.

    Raises:
        ArgumentTypeError: it is negative.
        ValueError: it is not a whole number.
    """
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is negative")
    return value


def positive(text: str) -> int:
    """Parse a whole number of at least 1.

    Raises:
        ArgumentTypeError: it is smaller.
        ValueError: it is not a whole number.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value
