"""Types of numeric arguments."""

from __future__ import annotations

import argparse

__all__ = ["natural", "positive", "seconds", "share"]


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


def share(text: str) -> float:
    """Parse a number from 0 to 1.

    Raises:
        ArgumentTypeError: it is outside, or nan.
        ValueError: it is no number.
    """
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{value} is not from 0 to 1")
    return value


def seconds(text: str) -> float:
    """Parse a finite number above 0.

    Raises:
        ArgumentTypeError: it is 0 or less, infinite or nan.
        ValueError: it is no number.
    """
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{value} is not a time above 0")
    return value
