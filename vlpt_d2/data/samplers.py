"""Which samples make up a batch: in training by global number, in evaluation evenly."""

import itertools
from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from ..utils.rng import EPOCHS, derive_seed

__all__ = ["EpochPermutation", "TrainingBatches", "even_batches"]


class EpochPermutation:
    """Sample number n of a run -> index into the dataset; every epoch is a permutation.

    Epoch e is shuffled by a seed made of the run's seed and e alone.
    """

    def __init__(self, size: int, seed: int):
        """
        Args:
            size: images of the dataset, at least 1.
            seed: the run's, not negative.
        """
        self.size = size
        self.seed = seed
        self._epochs: dict[int, torch.Tensor] = {}

    def __getitem__(self, number: int) -> int:
        """The index of sample ``number``, counted from 0 over the whole run."""
        epoch, place = divmod(number, self.size)
        if epoch not in self._epochs:
            # Where an epoch ends inside a batch, two of them are in use by turns.
            self._epochs = {e: p for e, p in self._epochs.items() if e in (epoch - 1, epoch + 1)}
            generator = torch.Generator().manual_seed(derive_seed(EPOCHS, self.seed, epoch))
            self._epochs[epoch] = torch.randperm(self.size, generator=generator)
        return int(self._epochs[epoch][place])


class TrainingBatches(Sampler[list[int]]):
    """Infinite micro-batches of global sample numbers, starting at any step.

    Step i of the run takes the numbers ``i * batch`` to ``(i + 1) * batch - 1``; each process
    takes a run of them in order of its rank, cut into ``accumulate`` equal micro-batches.
    """

    def __init__(
        self,
        batch: int,
        *,
        start_iter: int = 0,
        accumulate: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ):
        """
        Args:
            batch: images of one optimiser step, over all processes.
            start_iter: the step to start at.
            accumulate: micro-batches of a step.
            rank: of this process.
            world_size: processes.

        Raises:
            ValueError: the batch cannot be cut evenly.
        """
        if batch <= 0 or batch % (world_size * accumulate):
            raise ValueError(
                f"SOLVER.IMS_PER_BATCH is {batch}; it must be a multiple of the {world_size} "
                f"process(es) times SOLVER.ACCUMULATE {accumulate}"
            )
        self.batch = batch
        self.start_iter = start_iter
        self.accumulate = accumulate
        self.share = batch // world_size
        self.offset = rank * self.share

    def __iter__(self) -> Iterator[list[int]]:
        step = self.start_iter
        micro = self.share // self.accumulate
        while True:
            first = step * self.batch + self.offset
            for start in range(first, first + self.share, micro):
                yield list(range(start, start + micro))
            step += 1


def even_batches(size: int, batch: int, rank: int = 0, world_size: int = 1) -> list[list[int]]:
    """Cut 0..size-1 into consecutive batches of nearly equal size, and give one process its share.

    The pre-training evaluator pairs captions with another image of the batch, so with a batch
    above one and two images or more no batch has a single image: an odd number of images in
    batches of two ends in one of three. The batches are the same for any number of processes.

    Args:
        size: images of the dataset.
        batch: images wanted in a batch, at least 1.
        rank: of this process.
        world_size: processes; the shares follow each other in order of rank.

    Returns:
        The batches of this process, which may be none.
    """
    if batch < 1:
        raise ValueError(f"TEST.IMS_PER_BATCH is {batch}; it must be at least 1")
    count = -(-size // batch)
    if batch > 1 and size > 1:
        count = min(count, size // 2)
    edges = [i * size // count for i in range(count + 1)] if count else [0]
    batches = [list(range(a, b)) for a, b in itertools.pairwise(edges)]
    return batches[rank * count // world_size : (rank + 1) * count // world_size]
