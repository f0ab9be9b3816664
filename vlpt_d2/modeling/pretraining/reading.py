"""How well words were read: edit distance of the characters, words found."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

__all__ = ["character_accuracy", "edit_distance", "words_in_common"]


def edit_distance(a: str, b: str) -> int:
    """Fewest insertions, deletions and substitutions of characters from one string to the other."""
    codes = np.array([ord(character) for character in b], dtype=np.int64)
    steps = np.arange(len(b) + 1)
    row = steps.copy()
    for number, character in enumerate(a, start=1):
        reached = np.empty_like(row)
        reached[0] = number
        reached[1:] = np.minimum(row[1:] + 1, row[:-1] + (codes != ord(character)))
        # An insertion costs one for every place that is passed.
        row = np.minimum.accumulate(reached - steps) + steps
    return int(row[-1])


def character_accuracy(read: Sequence[str], true: Sequence[str]) -> float:
    """1 - edit distance / length of the longer, of the words joined with blanks.

    The "1-N.E.D." of ICDAR's reading competitions, over all words of an image in their order.

    Returns:
        In [0, 1]; 1 where there is no word and none was read.
    """
    ours, theirs = " ".join(read), " ".join(true)
    return 1 - edit_distance(ours, theirs) / max(len(ours), len(theirs), 1)


def words_in_common(read: Sequence[str], true: Sequence[str]) -> int:
    """Number of true words that were read, in whatever order; each read word counts once."""
    return (Counter(read) & Counter(true)).total()
