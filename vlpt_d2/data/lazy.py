"""Dataset dicts that are made when they are asked for, for datasets too large for a list."""

from __future__ import annotations

import bisect
import itertools
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..structures.dont_care import is_dont_care

__all__ = [
    "JoinedDicts",
    "LazyDicts",
    "SelectedDicts",
    "has_word",
    "is_trainable",
    "spread",
    "trainable",
]


class LazyDicts(Sequence):
    """A sequence of dataset dicts that holds none of them.

    Items are new objects each time, safe to edit. A loader's worker gets the sequence itself, so
    it has to pickle small and to share its memory: memory-mapped files do.
    """

    @abstractmethod
    def item(self, index: int) -> dict[str, Any]:
        """Make the dict at an index in [0, len)."""

    @abstractmethod
    def has_trainable_text(self) -> np.ndarray:
        """(len,) bool: the images with an annotation to learn from, without making the dicts."""

    def select(self, indices: np.ndarray) -> LazyDicts:
        """The images at ascending indices."""
        return SelectedDicts(self, indices)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self.item(i) for i in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        return self.item(int(position))


class JoinedDicts(LazyDicts):
    """Several sequences of dicts, one after another."""

    def __init__(self, parts: Iterable[Sequence[dict[str, Any]]]):
        self.parts = list(parts)
        self._ends = list(itertools.accumulate(map(len, self.parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def item(self, index: int) -> dict[str, Any]:
        part = bisect.bisect_right(self._ends, index)
        return self.parts[part][index - (self._ends[part - 1] if part else 0)]

    def has_trainable_text(self) -> np.ndarray:
        return np.concatenate([trainable(part) for part in self.parts] or [np.zeros(0, bool)])


class SelectedDicts(LazyDicts):
    """Some of the dicts of a sequence.

    Args:
        dicts: the sequence.
        indices: which of them, in the order wanted.
    """

    def __init__(self, dicts: Sequence[dict[str, Any]], indices: np.ndarray):
        self.dicts = dicts
        self.indices = np.asarray(indices, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def item(self, index: int) -> dict[str, Any]:
        return self.dicts[int(self.indices[index])]

    def has_trainable_text(self) -> np.ndarray:
        return trainable(self.dicts)[self.indices]


def spread(dicts: Sequence[dict[str, Any]], count: int) -> Sequence[dict[str, Any]]:
    """Some of the dicts, evenly spread over the sequence; all if ``count`` is 0 or too large."""
    if not 0 < count < len(dicts):
        return dicts
    return SelectedDicts(dicts, np.linspace(0, len(dicts) - 1, count).round())


def trainable(dicts: Sequence[dict[str, Any]]) -> np.ndarray:
    """(len,) bool: which dicts of any sequence have an annotation to learn from."""
    if isinstance(dicts, LazyDicts):
        return dicts.has_trainable_text()
    return np.fromiter(map(is_trainable, dicts), bool, len(dicts))


def has_word(dataset_dict: dict[str, Any]) -> bool:
    """Whether a dict has a text to learn from that says something, or does not know them yet."""
    annotations = dataset_dict.get("annotations")
    if "render" in dataset_dict or annotations is None:
        return True
    texts = (a.get("text", "").strip() for a in annotations if not a.get("iscrowd", 0))
    return any(text and not is_dont_care(text) for text in texts)


def is_trainable(dataset_dict: dict[str, Any]) -> bool:
    """Whether a dict has an annotation that is not a crowd, or does not know them yet."""
    # Rendered images have no annotations before they are drawn.
    if "render" in dataset_dict:
        return True
    annotations = dataset_dict.get("annotations")
    return annotations is None or any(not a.get("iscrowd", 0) for a in annotations)
