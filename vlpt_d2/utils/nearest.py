"""Suggestions for misspelt names."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the most similar of the known names, or "".

    Upper and lower case count as equal.
    """
    names = {each.lower(): each for each in known}
    nearest = difflib.get_close_matches(name.lower(), names, n=1)
    return f"; did you mean {names[nearest[0]]!r}?" if nearest else ""
