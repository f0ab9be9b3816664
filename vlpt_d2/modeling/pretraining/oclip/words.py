"""The words of a batch, and what both encoders made of it."""

from dataclasses import dataclass
from functools import cached_property

import torch

from ....data.collate import stacked
from ....data.text.masking import IGNORE_INDEX
from ..batch import Encoded, MovedTogether, hash_rows, places
from .characters import PAD


@dataclass
class WordBatch(MovedTogether):
    """The words of a batch as tensors.

    Attributes:
        ids: (N, W, L) int64, the masked characters that the word encoder reads; a row of padding
            where there is no word.
        original_ids: (N, W, L) int64, the same before masking.
        labels: (N, W) int64, the true id of each word's masked character, -100 without a word.
    """

    ids: torch.Tensor
    original_ids: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def from_samples(cls, samples: list[dict], device: torch.device) -> "WordBatch":
        """Stack the samples of :class:`~.mapper.OclipMapper`.

        Rows and columns that are padding in the whole batch are left out (but the first).
        """
        keys = ("word_ids", "whole_word_ids", "character_labels")
        ids, whole, labels = (stacked([s[key] for s in samples]) for key in keys)
        used = ids != PAD
        words = max(1, int(used[..., 0].sum(dim=1).max()))
        characters = max(1, int(used.sum(dim=2).max()))
        ids, whole = ids[:, :words, :characters], whole[:, :words, :characters]
        return cls(ids, whole, labels[:, :words]).to(device)

    @property
    def present(self) -> torch.Tensor:
        """(N, W) bool: rows that hold a word."""
        return self.ids[..., 0] != PAD

    @property
    def masked(self) -> torch.Tensor:
        """(N, W) bool: words of which a character is masked."""
        return self.labels != IGNORE_INDEX

    @cached_property
    def masked_places(self) -> torch.Tensor:
        """(M,) int64: where these words are among all N * W."""
        return places(self.masked)

    @property
    def has_words(self) -> torch.Tensor:
        """(N,) bool: images with at least one word."""
        return self.present.any(dim=1)

    @property
    def text_keys(self) -> torch.Tensor:
        """(N,) int64, equal where images have the same words, in whatever order."""
        return hash_rows(self.original_ids).masked_fill(~self.present, 0).sum(dim=1)


@dataclass
class EncodedWords(Encoded[WordBatch]):
    """What both encoders made of a batch: its text is a vector for each word.

    Attributes:
        grid: (h, w), rows and columns of the image tokens after the global one.
    """

    grid: tuple[int, int]
