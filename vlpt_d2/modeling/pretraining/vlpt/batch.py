"""Captions as VLPT's text encoder reads them."""

from dataclasses import dataclass

import torch

from ....data.collate import stacked
from ....data.text.masking import IGNORE_INDEX
from ..batch import Encoded, hash_rows


@dataclass
class TokenBatch:
    """The captions of a batch as tensors.

    Attributes:
        input_ids: (N, K) int64, the masked ids that the text encoder reads.
        attention_mask: (N, K) bool, True at tokens that are not padding.
        mlm_labels: (N, K) int64, the true id at tokens to predict, -100 elsewhere.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    mlm_labels: torch.Tensor

    @classmethod
    def from_samples(cls, samples: list[dict], device: torch.device) -> "TokenBatch":
        """Stack the samples of :class:`~.mapper.PretrainMapper`."""
        keys = ("input_ids", "attention_mask", "mlm_labels")
        stacks = (stacked([s[key] for s in samples]) for key in keys)
        return cls(*(stack.to(device, non_blocking=True) for stack in stacks))

    @property
    def masked(self) -> torch.Tensor:
        """(N, K) bool: tokens selected for MLM."""
        return self.mlm_labels != IGNORE_INDEX

    @property
    def original_ids(self) -> torch.Tensor:
        """(N, K) int64: ids before masking."""
        return torch.where(self.masked, self.mlm_labels, self.input_ids)

    @property
    def words(self) -> torch.Tensor:
        """(N, K) bool: tokens of words; not [CLS], [SEP] or padding."""
        lengths = self.attention_mask.sum(dim=1, keepdim=True)
        position = torch.arange(self.input_ids.shape[1], device=self.input_ids.device)
        return (position > 0) & (position < lengths - 1)

    @property
    def has_words(self) -> torch.Tensor:
        """(N,) bool: captions with at least one word."""
        return self.attention_mask.sum(dim=1) > 2

    @property
    def text_keys(self) -> torch.Tensor:
        """(N,) int64, equal where captions have the same tokens."""
        return hash_rows(self.original_ids.masked_fill(~self.attention_mask, 0))


@dataclass
class EncodedBatch(Encoded):
    """What VLPT's encoders made of a batch: its text begins with [CLS], its tokens are captions.

    Attributes:
        word_table: (V, d) the text encoder's word embeddings, as they are at this step.
        grid: (h, w), rows and columns of the image tokens after [CLS]; h * w = S.
    """

    word_table: torch.Tensor
    grid: tuple[int, int] | None = None
