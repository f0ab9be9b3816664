"""Which tokens of a caption are which word of the image, and where that word stands."""

from collections.abc import Sequence

import numpy as np

from .text.tokenizer import Encoding

__all__ = ["tokens_of_words", "word_polygons"]


def tokens_of_words(words: Sequence[str], encoding: Encoding, unknown_id: int) -> np.ndarray:
    """Give each token of a caption the number of the word it is a piece of.

    Unlike ``Encoding.words``, which follows the word pieces, a word is what one annotation holds:
    "don't" is one, and so is a line of several words.

    Args:
        words: joined with single spaces they are the caption.
        encoding: of that caption.
        unknown_id: id of [UNK]. A word with an unknown piece cannot be asked for: none of its
            tokens is given to it.

    Returns:
        (max_tokens,) int64, index into ``words``; -1 at other tokens.
    """
    numbers = np.full(len(encoding.ids), -1, dtype=np.int64)
    if not words:
        return numbers
    begins = np.concatenate([[0], np.cumsum([len(word) + 1 for word in words])[:-1]])
    tokens = np.flatnonzero(encoding.starts >= 0)
    numbers[tokens] = np.searchsorted(begins, encoding.starts[tokens], side="right") - 1
    unknown = np.unique(numbers[encoding.ids == unknown_id])
    numbers[np.isin(numbers, unknown)] = -1
    return numbers


def word_polygons(annotations: Sequence[dict], words: Sequence[str]) -> list[list[np.ndarray]]:
    """Give each word the polygons of all annotations that read the same, letter case aside.

    Args:
        annotations: with "segmentation" as polygons; one without stands nowhere.
        words: the text of each.

    Returns:
        For each word a list of (N, 2) float64 arrays of (x, y) in pixels of the image.
    """
    places: dict[str, list[np.ndarray]] = {}
    for annotation, word in zip(annotations, words, strict=True):
        rings = annotation.get("segmentation") or []
        places.setdefault(word.lower(), []).extend(
            np.asarray(ring, np.float64).reshape(-1, 2) for ring in rings
        )
    return [places[word.lower()] for word in words]
