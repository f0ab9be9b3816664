"""What the pretext tasks are given."""

from dataclasses import dataclass, replace
from typing import Protocol, Self

import torch

from ...data.collate import stacked
from ...data.masking import IGNORE_INDEX


class Tokens(Protocol):
    """The texts of a batch, in whatever form a meta-architecture reads them."""

    @property
    def has_words(self) -> torch.Tensor:
        """(N,) bool: texts with at least one word."""

    @property
    def text_keys(self) -> torch.Tensor:
        """(N,) int64, equal where texts read the same to the encoder, nothing masked."""


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
        """Stack the samples of :class:`~vlpt_d2.data.pretrain_mapper.PretrainMapper`."""
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
class Encoded:
    """What both encoders made of a batch.

    Attributes:
        image: (N, 1 + S, d) visual tokens, [CLS] first.
        text: (N, K, d) vectors of the text.
        tokens: the texts.
    """

    image: torch.Tensor
    text: torch.Tensor
    tokens: Tokens

    def with_images_rolled(self) -> Self:
        """Pair every text with the next image of the batch: the shuffled-image control."""
        return replace(self, image=self.image.roll(-1, dims=0))


@dataclass
class EncodedBatch(Encoded):
    """What VLPT's encoders made of a batch: its text begins with [CLS], its tokens are captions.

    Attributes:
        word_table: (V, d) the text encoder's word embeddings, as they are at this step.
        grid: (h, w), rows and columns of the image tokens after [CLS]; h * w = S.
    """

    word_table: torch.Tensor
    grid: tuple[int, int] | None = None


def hash_rows(ids: torch.Tensor) -> torch.Tensor:
    """Hash each row of ids to 64 bits, the same on every device and in every process.

    Args:
        ids: (..., L) int64; zeros at the end of a row change nothing.

    Returns:
        Tensor: (...) int64. Two different rows agree with a chance of about 2**-64.
    """
    places = torch.arange(1, ids.shape[-1] + 1, device=ids.device)
    # Pseudo-random odd factors: integers wrap around, so a row's sum is one of them modulo 2**64.
    return _mix((ids * (_mix(places) | 1)).sum(dim=-1))


def _mix(x: torch.Tensor) -> torch.Tensor:
    """Scramble int64 one to one (the finaliser of SplitMix64, with signed shifts)."""
    x = x * -0x61C8864680B583EB
    x = (x ^ (x >> 30)) * -0x40A7B892E31B1A47
    x = (x ^ (x >> 27)) * -0x6B2FB644ECCEEE15
    return x ^ (x >> 31)


def full_precision(x: torch.Tensor) -> torch.Tensor:
    """Return half-precision tensors as float32 and others as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
