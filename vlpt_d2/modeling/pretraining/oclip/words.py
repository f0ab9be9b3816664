"""The words of a batch, and what both encoders made of it."""

from dataclasses import dataclass

import torch

from ....data.characters import MASK, PAD
from ....data.masking import IGNORE_INDEX
from ..batch import Encoded


@dataclass
class WordBatch:
    """The words of a batch as tensors.

    Attributes:
        ids: (N, W, L) int64, the masked characters that the word encoder reads; a row of padding
            where there is no word.
        labels: (N, W) int64, the true id of each word's masked character, -100 without a word.
    """

    ids: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def from_samples(cls, samples: list[dict], device: torch.device) -> "WordBatch":
        """Stack the samples of :class:`~vlpt_d2.data.oclip_mapper.OclipMapper`.

        Rows and columns that are padding in the whole batch are left out (but the first).
        """
        ids = torch.stack([s["word_ids"] for s in samples])
        labels = torch.stack([s["character_labels"] for s in samples])
        used = ids != PAD
        words = max(1, int(used[..., 0].sum(dim=1).max()))
        characters = max(1, int(used.sum(dim=2).max()))
        return cls(ids[:, :words, :characters].to(device), labels[:, :words].to(device))

    @property
    def present(self) -> torch.Tensor:
        """(N, W) bool: rows that hold a word."""
        return self.ids[..., 0] != PAD

    @property
    def masked(self) -> torch.Tensor:
        """(N, W) bool: words of which a character is masked."""
        return self.labels != IGNORE_INDEX

    @property
    def original_ids(self) -> torch.Tensor:
        """(N, W, L) int64: ids before masking."""
        return torch.where(self.ids == MASK, self.labels[..., None], self.ids)

    @property
    def has_words(self) -> torch.Tensor:
        """(N,) bool: images with at least one word."""
        return self.present.any(dim=1)


@dataclass
class EncodedWords(Encoded):
    """What both encoders made of a batch: its text is a vector for each word.

    Attributes:
        grid: (h, w), rows and columns of the image tokens after the global one.
    """

    grid: tuple[int, int]
