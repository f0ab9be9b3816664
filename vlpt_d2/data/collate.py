"""Batches that travel from a worker to the main process as one block of memory."""

import io
import math
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["CollatedBatch", "stacked"]

# dtype, shape, and the numbers of the tensors that have both and lie one after the other.
_Group = tuple[torch.dtype, tuple[int, ...], list[int]]

# Where groups begin, in bytes: a multiple of every dtype's size.
_ALIGNMENT = 64


class CollatedBatch:
    """Samples whose tensors lie in one block of bytes.

    A tensor that is sent to another process takes a file descriptor of its own. This takes one for
    the whole batch, one copy to pin it, and the tensors that are at the same place in every
    sample lie side by side, so that :func:`stacked` joins them without a copy.
    """

    def __init__(self, samples: Sequence[Any]):
        """
        Args:
            samples: what a mapper returns; anything that can be pickled.
        """
        # Through the pickler, which finds tensors in whatever holds them.
        stream = io.BytesIO()
        pickler = _TensorPickler(stream)
        for sample in samples:
            pickler.dump_sample(sample)
        self._count = len(samples)
        self._pickled = stream.getvalue()
        self._groups: list[_Group] = [(*key[1:], n) for key, n in pickler.groups.items()]
        size = sum(_padded(_nbytes(group)) for group in self._groups)
        self._block = torch.empty(size, dtype=torch.uint8)
        if torch.utils.data.get_worker_info() is not None:
            # Else it would be copied there when it is sent.
            self._block.share_memory_()
        for numbers, stack in self._stacks():
            torch.stack([pickler.tensors[n] for n in numbers], out=stack)

    def pin_memory(self) -> "CollatedBatch":
        """Called by torch's data loader; moves the block to page-locked memory."""
        self._block = self._block.pin_memory()
        return self

    def samples(self) -> list[Any]:
        """The samples; their tensors are views of the block, which lives as long as one of them."""
        tensors: dict[int, Tensor] = {}
        for numbers, stack in self._stacks():
            tensors.update(zip(numbers, stack.unbind()))
        unpickler = _TensorUnpickler(io.BytesIO(self._pickled), tensors)
        return [unpickler.load() for _ in range(self._count)]

    def _stacks(self) -> Iterator[tuple[list[int], Tensor]]:
        """The numbers of each group's tensors, and all of them as one view."""
        start = 0
        for group in self._groups:
            dtype, shape, numbers = group
            data = self._block[start : start + _nbytes(group)]
            yield numbers, data.view(dtype).view(len(numbers), *shape)
            start += _padded(_nbytes(group))


class _TensorPickler(pickle.Pickler):
    """Keeps tensors out of the stream, which gets their numbers instead."""

    def __init__(self, stream: io.BytesIO):
        super().__init__(stream, pickle.HIGHEST_PROTOCOL)
        self.tensors: list[Tensor] = []
        # By place in the sample, dtype and shape.
        self.groups: dict[tuple[int, torch.dtype, tuple[int, ...]], list[int]] = {}
        self._first = 0

    def dump_sample(self, sample: Any) -> None:
        self._first = len(self.tensors)
        self.dump(sample)

    def persistent_id(self, value: Any) -> int | None:
        plain = type(value) is Tensor and value.layout == torch.strided and not value.requires_grad
        if not plain or value.device.type != "cpu":
            return None
        number = len(self.tensors)
        self.tensors.append(value)
        key = number - self._first, value.dtype, tuple(value.shape)
        self.groups.setdefault(key, []).append(number)
        return number


class _TensorUnpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, tensors: dict[int, Tensor]):
        super().__init__(stream)
        self._tensors = tensors

    def persistent_load(self, number: int) -> Tensor:
        return self._tensors[number]


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """``torch.stack``, without a copy where the tensors lie side by side in memory.

    Args:
        tensors: at least one, of one shape and dtype.

    Returns:
        Tensor: (N, ...); it may share memory with the tensors, so do not write to it.
    """
    first = tensors[0]
    memory, length = first.untyped_storage().data_ptr(), first.numel()
    side_by_side = all(
        tensor.untyped_storage().data_ptr() == memory
        and tensor.storage_offset() == first.storage_offset() + number * length
        and tensor.shape == first.shape
        and tensor.dtype == first.dtype
        and tensor.is_contiguous()
        for number, tensor in enumerate(tensors)
    )
    if not side_by_side:
        return torch.stack(list(tensors))
    return first.as_strided((len(tensors), *first.shape), (length, *first.stride()))


def _nbytes(group: _Group) -> int:
    dtype, shape, numbers = group
    return len(numbers) * math.prod(shape) * dtype.itemsize


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
