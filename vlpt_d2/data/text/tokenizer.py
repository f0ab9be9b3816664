"""WordPiece tokenisation of captions, offline by default."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from detectron2.utils.file_io import PathManager
from tokenizers import BertWordPieceTokenizer, Tokenizer

_ASSETS = Path(__file__).parent / "assets"
# The vocabulary of bert-base-uncased (google-research/bert, Apache-2.0).
DEFAULT_VOCABULARY = _ASSETS / "bert_base_uncased_vocab.txt"
# Vocabularies that come with the package, by the names TOKENIZER knows them by.
SHIPPED_VOCABULARIES = {
    "": DEFAULT_VOCABULARY,
    # Its characters and its most frequent tokens, 8,000 in all.
    "frequent": _ASSETS / "frequent_vocab.txt",
    # The words of the rendered corpus "quickstart", each one token.
    "sign_words": _ASSETS / "sign_words_vocab.txt",
}


@dataclass(frozen=True)
class Encoding:
    """One caption as token ids.

    Attributes:
        ids: (max_tokens,) int64, [CLS] first, [SEP] last, then padding.
        mask: (max_tokens,) bool, True at tokens that are not padding.
        words: (max_tokens,) int64, the number of the word a token belongs to, counted from 0;
            -1 at special tokens and padding. A word ends where the next token has no "##".
        starts: (max_tokens,) int64, the character of the caption at which a token begins; -1 at
            special tokens and padding.
        cut: tokens that exceeded ``max_tokens`` and are not there.
    """

    ids: np.ndarray
    mask: np.ndarray
    words: np.ndarray
    starts: np.ndarray
    cut: int = 0


def words_of_tokens(words: Sequence[str], encoding: Encoding) -> np.ndarray:
    """Give each token of a caption the index of its word.

    Unlike ``Encoding.words``, which follows the tokenizer's words, a word is one annotation:
    "don't" is one, and so is a line of several words.

    Args:
        words: joined with single spaces they are the caption.
        encoding: of that caption.

    Returns:
        (max_tokens,) int64, index into ``words``; -1 at [CLS], [SEP] and padding.
    """
    numbers = np.full(len(encoding.ids), -1, dtype=np.int64)
    if words:
        ends = np.cumsum([len(word) + 1 for word in words])
        tokens = encoding.starts >= 0
        numbers[tokens] = np.searchsorted(ends, encoding.starts[tokens], side="right")
    return numbers


class CaptionTokenizer:
    """Captions to fixed-length WordPiece ids."""

    def __init__(self, tokenizer: Tokenizer, special: dict[str, int], max_tokens: int):
        """
        Args:
            tokenizer: a fast tokenizer with "##" continuation tokens.
            special: ids of "cls", "sep", "pad", "mask" and "unk".
            max_tokens: caption length K, [CLS] and [SEP] included; at least 3.
        """
        if max_tokens < 3:
            raise ValueError(
                f"MODEL.TEXT_ENCODER.MAX_TOKENS is {max_tokens}; it must hold [CLS], a token "
                "and [SEP], so at least 3"
            )
        self.tokenizer = tokenizer
        self.special = special
        self.max_tokens = max_tokens

    @property
    def vocabulary_size(self) -> int:
        """Number of ids."""
        return self.tokenizer.get_vocab_size()

    @property
    def special_ids(self) -> list[int]:
        """Ids of special tokens."""
        return sorted(set(self.special.values()))

    def encode(self, caption: str) -> Encoding:
        """Tokenise one caption; what exceeds ``max_tokens`` is cut off its end, and counted."""
        encoded = self.tokenizer.encode(caption, add_special_tokens=False)
        pieces = encoded.ids[: self.max_tokens - 2]
        ids = np.full(self.max_tokens, self.special["pad"], dtype=np.int64)
        words = np.full(self.max_tokens, -1, dtype=np.int64)
        n = len(pieces)
        ids[0] = self.special["cls"]
        ids[1 : n + 1] = pieces
        ids[n + 1] = self.special["sep"]
        starts = [not token.startswith("##") for token in encoded.tokens[:n]]
        words[1 : n + 1] = np.maximum(np.cumsum(starts) - 1, 0)
        places = np.full(self.max_tokens, -1, dtype=np.int64)
        places[1 : n + 1] = [start for start, _ in encoded.offsets[:n]]
        mask = np.arange(self.max_tokens) < n + 2
        return Encoding(ids, mask, words, places, cut=len(encoded.ids) - n)

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Return the tokens of ``ids``."""
        return [cast(str, self.tokenizer.id_to_token(int(i))) for i in ids]

    def pieces(self, text: str) -> list[int]:
        """Return the ids of all tokens of a text, without special tokens."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids


def build_tokenizer(source: str = "", max_tokens: int = 30) -> CaptionTokenizer:
    """Build the tokenizer of ``MODEL.TEXT_ENCODER.TOKENIZER``.

    Args:
        source: a name of :data:`SHIPPED_VOCABULARIES` ("" for bert-base-uncased's), the path of a
            ``vocab.txt``, or a Hugging Face tokenizer's name or folder.
        max_tokens: caption length, special tokens included.

    Raises:
        ValueError: if the vocabulary lacks a special token.
    """
    if source in SHIPPED_VOCABULARIES or source.endswith(".txt"):
        shipped = SHIPPED_VOCABULARIES.get(source)
        path = str(shipped) if shipped else PathManager.get_local_path(source)
        with open(path, encoding="utf-8") as f:
            vocabulary = {line.rstrip("\n"): i for i, line in enumerate(f)}
        names = {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]", "unk": "[UNK]"}
        missing = [token for token in names.values() if token not in vocabulary]
        if missing:
            raise ValueError(f"{path}: the vocabulary lacks {', '.join(missing)}")
        tokenizer = BertWordPieceTokenizer(vocabulary, lowercase=True)._tokenizer
        special = {name: vocabulary[token] for name, token in names.items()}
        return CaptionTokenizer(tokenizer, special, max_tokens)

    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(source, use_fast=True)
    special = {n: getattr(loaded, f"{n}_token_id") for n in ("cls", "sep", "pad", "mask", "unk")}
    missing = [name for name, value in special.items() if value is None]
    if missing:
        raise ValueError(
            f"MODEL.TEXT_ENCODER.TOKENIZER {source!r} has no {', '.join(missing)} token; "
            "a BERT-family tokenizer is needed"
        )
    tokenizer = loaded.backend_tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return CaptionTokenizer(tokenizer, special, max_tokens)
