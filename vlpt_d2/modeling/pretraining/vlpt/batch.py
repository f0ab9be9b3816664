"""Captions as VLPT's text encoder reads them."""

from dataclasses import dataclass, fields
from functools import cached_property

import torch

from ....data.collate import stacked
from ....data.text.masking import IGNORE_INDEX
from ..batch import Encoded, MovedTogether, hash_rows, places


@dataclass
class TokenBatch(MovedTogether):
    """The captions of a batch as tensors.

    Attributes:
        input_ids: (N, K) int64, the masked ids that the text encoder reads.
        original_ids: (N, K) int64, the ids before masking.
        attention_mask: (N, K) bool, True at tokens that are not padding.
        mlm_labels: (N, K) int64, the true id at tokens to predict, -100 elsewhere.
        word_index: (N, K) int64, the index of a token's word; -1 at special
            tokens and padding.
    """

    input_ids: torch.Tensor
    original_ids: torch.Tensor
    attention_mask: torch.Tensor
    mlm_labels: torch.Tensor
    word_index: torch.Tensor

    @classmethod
    def from_samples(cls, samples: list[dict], device: torch.device) -> "TokenBatch":
        """Stack the samples of :class:`~.mapper.PretrainMapper`."""
        return cls(*(stacked([s[field.name] for s in samples]) for field in fields(cls))).to(device)

    @property
    def masked(self) -> torch.Tensor:
        """(N, K) bool: tokens selected for MLM."""
        return self.mlm_labels != IGNORE_INDEX

    @property
    def visible(self) -> torch.Tensor:
        """(N, K) bool: tokens that are not masked, which WIP predicts."""
        return (self.word_index >= 0) & ~self.masked

    @cached_property
    def masked_places(self) -> torch.Tensor:
        """(M,) int64: where the masked tokens are among all N * K."""
        return places(self.masked)

    @cached_property
    def visible_places(self) -> torch.Tensor:
        """(T,) int64: where the visible tokens are among all N * K."""
        return places(self.visible)

    @cached_property
    def distinct_ids(self) -> torch.Tensor:
        """(U,) int64, ascending: the ids of the visible tokens."""
        return self.original_ids.flatten()[self.visible_places].unique()

    @property
    def has_words(self) -> torch.Tensor:
        """(N,) bool: captions with at least one word."""
        return self.attention_mask.sum(dim=1) > 2

    @property
    def text_keys(self) -> torch.Tensor:
        """(N,) int64, equal where captions have the same tokens."""
        return hash_rows(self.original_ids.masked_fill(~self.attention_mask, 0))


@dataclass
class EncodedBatch(Encoded[TokenBatch]):
    """What VLPT's encoders made of a batch: its text begins with [CLS], its tokens are captions.

    Attributes:
        word_table: (V, d) the text encoder's word embeddings, as they are at this step.
        grid: (h, w), rows and columns of the image tokens after [CLS]; h * w = S.
    """

    word_table: torch.Tensor
    grid: tuple[int, int] | None = None
