"""Words as CTC reads them, and where their strips lie."""

import string

import numpy as np

from ..text_axis import TextAxis, TextSides

#: The characters that are read, with the space of lines; number 0 is CTC's blank.
ALPHABET = string.digits + string.ascii_letters + string.punctuation + " "
# Rows of a strip, which are as many columns for as much of the text's length as it is high.
ROWS = 8
_LEAST_COLUMNS, _MOST_COLUMNS = 8, 256


def letters_of(word: str) -> np.ndarray | None:
    """Numbers of a word's characters, (L,) int64; None where one is not in the alphabet."""
    numbers = [ALPHABET.find(character) + 1 for character in word]
    return np.array(numbers, np.int64) if numbers and all(numbers) else None


def word_of(numbers: np.ndarray) -> str:
    """The word of a column's most likely character each: repeats and blanks left out."""
    changed = np.append(True, numbers[1:] != numbers[:-1])
    return "".join(ALPHABET[i - 1] for i in numbers[changed & (numbers > 0)].tolist())


def has_room(letters: np.ndarray, columns: int) -> bool:
    """Whether CTC can write so many characters, with a blank between equal ones."""
    return len(letters) + int((letters[1:] == letters[:-1]).sum()) <= columns


def strip_of(sides: TextSides) -> np.ndarray:
    """Top and bottom of each column of a text's strip, (2, columns, 2) float32, in pixels."""
    columns = _columns(sides.pairs(np.linspace(0, 1, 9)))
    axis = sides.pairs((np.arange(columns) + 0.5) / columns)
    return np.stack([axis.first, axis.second]).astype(np.float32)


def strip_between(sides: np.ndarray) -> np.ndarray:
    """The same of pairs of points (2, n, 2) on the two sides, at any distances."""
    steps = np.linalg.norm(np.diff(sides.mean(axis=0), axis=0), axis=1)
    ends = np.append(0.0, np.cumsum(steps))
    columns = _columns(TextAxis(*sides))
    at = ends[-1] * (np.arange(columns) + 0.5) / columns
    strip = [np.stack([np.interp(at, ends, v) for v in side.T], axis=1) for side in sides]
    return np.stack(strip).astype(np.float32)


def _columns(axis: TextAxis) -> int:
    height = max(2 * float(axis.radius.mean()), 1e-3)
    return int(np.clip(np.ceil(ROWS * axis.length / height), _LEAST_COLUMNS, _MOST_COLUMNS))
