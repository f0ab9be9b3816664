"""Words as character ids, for models that read one word at a time.

Ids as in the release of oCLIP (bytedance/oclip, src/training/data.py): 0 is padding, 1 to 94 the
printable ASCII characters from "!" to "~", 95 the mask, 96 the end of the word. Ours is 97, a
character that is hidden but not asked for.
"""

from dataclasses import dataclass, field

import numpy as np

from ....data.text.masking import IGNORE_INDEX

__all__ = ["EOS", "HIDDEN", "MASK", "PAD", "VOCABULARY_SIZE", "WordEncoding", "encode_words"]

_FIRST, _LAST = ord("!"), ord("~")
PAD = 0
MASK = _LAST - _FIRST + 2
EOS = MASK + 1
HIDDEN = EOS + 1
VOCABULARY_SIZE = HIDDEN + 1


@dataclass(frozen=True)
class WordEncoding:
    """The words of one image as character ids, one character of each masked.

    Attributes:
        whole: (max_words, max_characters) int64; a word's characters, :data:`EOS`, then
            :data:`PAD`. Rows without a word are all padding.
        ids: the same as it is shown, one character of each word :data:`MASK`, others perhaps
            :data:`HIDDEN`.
        labels: (max_words,) int64, the id of the character that is masked; -100 without a word.
        counts: how many characters were dropped (no printable ASCII), words were skipped (no
            character left), cut (too long) and left out (more than fit).
    """

    whole: np.ndarray
    ids: np.ndarray
    labels: np.ndarray
    counts: dict[str, int] = field(default_factory=dict)


def encode_words(
    words: list[str],
    *,
    max_words: int,
    max_characters: int,
    rng: np.random.RandomState,
    shuffle: bool,
    hidden_share: float = 0.0,
) -> WordEncoding:
    """Encode the words of an image and mask one character of each.

    Args:
        words: without white space.
        max_words: rows of the result.
        max_characters: columns of the result, :data:`EOS` included; at least 2.
        rng: draws the order of the words and the masked characters.
        shuffle: whether the words are put in random order, so that those left out are random too.
            Otherwise the order stays and the first are taken.
        hidden_share: probability that each character but the masked one is hidden too.

    Raises:
        ValueError: ``max_characters`` has no place for a character.
    """
    if max_characters < 2:
        raise ValueError(
            f"MODEL.OCLIP.WORDS.MAX_CHARACTERS is {max_characters}; it must hold a character and "
            "the end of the word, so at least 2"
        )
    coded = [[ord(c) - _FIRST + 1 for c in w if _FIRST <= ord(c) <= _LAST] for w in words]
    readable = [word for word in coded if word]
    if shuffle:
        readable = [readable[i] for i in rng.permutation(len(readable))]
    taken = readable[:max_words]
    whole = np.full((max_words, max_characters), PAD, dtype=np.int64)
    for row, word in enumerate(taken):
        kept = word[: max_characters - 1]
        whole[row, : len(kept)] = kept
        whole[row, len(kept)] = EOS
    ids, labels = _mask(whole, hidden_share, rng)
    counts = {
        "dropped_characters": sum(map(len, words)) - sum(map(len, coded)),
        "skipped_words": len(coded) - len(readable),
        "cut_words": sum(len(word) >= max_characters for word in taken),
        "left_out_words": len(readable) - len(taken),
    }
    return WordEncoding(whole, ids, labels, counts)


def _mask(
    whole: np.ndarray, hidden_share: float, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    ids = whole.copy()
    labels = np.full(len(whole), IGNORE_INDEX, dtype=np.int64)
    for row, word in enumerate(whole):
        length = np.count_nonzero(word) - 1
        if length < 0:
            continue
        place = rng.randint(length)
        if hidden_share:
            ids[row, :length][rng.random_sample(length) < hidden_share] = HIDDEN
        labels[row], ids[row, place] = word[place], MASK
    return ids, labels
