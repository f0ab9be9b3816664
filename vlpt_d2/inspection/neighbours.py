"""The words nearest to a word in an embedding table."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..data.text.tokenizer import CaptionTokenizer, build_tokenizer
from ..utils.nearest import did_you_mean
from .loading import LoadedModel

__all__ = ["WordTable", "load_bert_table", "nearest_words"]


@dataclass
class WordTable:
    """An embedding table and the tokenizer whose ids are its rows.

    Attributes:
        name: for messages.
        rows: (V, d).
        tokenizer: of V ids at most.
    """

    name: str
    rows: torch.Tensor
    tokenizer: CaptionTokenizer

    @classmethod
    def of_model(cls, loaded: LoadedModel) -> WordTable:
        """The table that the pre-training learned."""
        rows = loaded.model.text_encoder.word_embeddings.weight.detach()
        return cls("this model", rows, loaded.tokenizer)

    @property
    def vocabulary(self) -> set[str]:
        """All tokens."""
        return set(self.tokenizer.tokenizer.get_vocab())


def load_bert_table(source: str) -> WordTable:
    """Read the input embeddings of a BERT-family model of transformers.

    Args:
        source: a local folder, or a name on the Hugging Face hub.

    Raises:
        ValueError: there is no such model, or it has no WordPiece tokens.
    """
    from transformers import AutoModel

    try:
        model = AutoModel.from_pretrained(source)
        tokenizer = build_tokenizer(source)
    except OSError as error:
        raise ValueError(f"--bert {source}: cannot be read ({error})") from error
    return WordTable(source, model.get_input_embeddings().weight.detach(), tokenizer)


def nearest_words(
    table: WordTable, word: str, top: int = 10, among: Collection[str] | None = None
) -> list[tuple[str, float]]:
    """The tokens whose rows are nearest to a word's by cosine similarity.

    A word of several tokens has the mean of their rows. Neither they, nor special tokens, nor
    BERT's unused rows are neighbours.

    Args:
        table: the embeddings.
        word: one word.
        top: number of neighbours; fewer where the table has fewer.
        among: tokens that may be neighbours, such as those that two tables share; all if None.

    Returns:
        Tokens and cosines, the nearest first.

    Raises:
        ValueError: the tokenizer has no tokens for the word.
    """
    tokenizer = table.tokenizer
    pieces = tokenizer.pieces(word)
    if not pieces or tokenizer.special["unk"] in pieces:
        hint = did_you_mean(word.lower(), table.vocabulary)
        raise ValueError(f"{table.name}: the vocabulary has no tokens for {word!r}{hint}")
    rows = table.rows.float()
    query = rows[pieces].mean(dim=0)
    cosine = F.cosine_similarity(rows, query[None], dim=1)
    names = tokenizer.tokens(range(min(len(rows), tokenizer.vocabulary_size)))
    out = {*pieces, *tokenizer.special_ids}
    for i in range(len(rows)):
        name = names[i] if i < len(names) else None
        if name is None or name.startswith("[unused") or (among is not None and name not in among):
            out.add(i)
    cosine[list(out)] = float("-inf")
    best = cosine.topk(min(top, len(rows) - len(out)))
    return [(names[i], float(value)) for value, i in zip(best.values, best.indices.tolist())]
