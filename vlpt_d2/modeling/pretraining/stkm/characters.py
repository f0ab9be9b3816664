"""All words of an image as one sequence of characters, as STKM reads them.

Wan, Ji and Shen, "Self-Attention Based Text Knowledge Mining for Text Detection" (CVPR 2021),
section 3.2; CVI-SZU/STKM dataloader_syn.py.
"""

from collections.abc import Iterable

import numpy as np

__all__ = [
    "ALPHABET",
    "END",
    "NUM_CLASSES",
    "OTHER",
    "OTHER_SIGN",
    "PAD",
    "START",
    "WORD_END",
    "decode_words",
    "encode_words",
    "sort_words",
]

# The flags, numbered as in the release.
PAD, START, WORD_END, END = range(4)
# Digits, letters and punctuation: the paper's 10 + 52 + 32 (the release's string has 92 of them,
# without "Z" and "&").
ALPHABET = "".join(map(chr, range(ord("!"), ord("~") + 1)))
# Any other character, and the sign that stands for it where ids are read back.
OTHER = END + 1 + len(ALPHABET)
OTHER_SIGN = "\N{REPLACEMENT CHARACTER}"
NUM_CLASSES = OTHER + 1

_CLASSES = {character: END + 1 + i for i, character in enumerate(ALPHABET)}
_CHARACTERS = {number: character for character, number in _CLASSES.items()} | {OTHER: OTHER_SIGN}


def sort_words(texts: Iterable[str]) -> list[str]:
    """Split texts at white space and sort the words by their characters' codes (ASCII order)."""
    return sorted(word for text in texts for word in text.split())


def encode_words(words: Iterable[str], length: int) -> tuple[np.ndarray, int]:
    """Turn words into what is to be predicted: every word's characters, then its end flag.

    After the last word comes :data:`END`. Where not all words fit, the sequence stops after the
    last one that does and has no :data:`END`, as the words of the image do not end there.

    Args:
        words: in the order in which they are to be read.
        length: of the result, padding included.

    Returns:
        (length,) int64, and the number of words that are left out.
    """
    words = list(words)
    ids: list[int] = []
    for number, word in enumerate(words):
        # One place is kept for the end.
        if len(ids) + len(word) + 2 > length:
            left_out = len(words) - number
            break
        ids += [_CLASSES.get(character, OTHER) for character in word]
        ids.append(WORD_END)
    else:
        left_out = 0
        ids.append(END)
    encoded = np.full(length, PAD, dtype=np.int64)
    encoded[: len(ids)] = ids
    return encoded, left_out


def decode_words(ids: Iterable[int]) -> list[str]:
    """Read words back from ids, up to :data:`END` or the last id.

    Args:
        ids: a target or a model's reading. Word ends without a character before them are passed
            over; characters after the last word end are a word too.

    Returns:
        The words, with :data:`OTHER_SIGN` for every character of :data:`OTHER`.
    """
    words, word = [], ""
    for number in map(int, ids):
        if number == END:
            break
        if number in _CHARACTERS:
            word += _CHARACTERS[number]
        elif number == WORD_END and word:
            words.append(word)
            word = ""
    return [*words, word] if word else words
