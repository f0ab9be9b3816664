"""Shuffled reading of shards by many workers, without overlap or loss, from any step on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...utils.rng import EPOCHS, derive_seed
from .dataset import ShardedDicts

__all__ = ["ShardStreams", "StreamSplit"]


class StreamSplit:
    """Which stream a sample number belongs to: there is one for each worker of each process.

    Sample numbers are cut into micro-batches by :class:`~vlpt_d2.data.samplers.TrainingBatches`,
    and PyTorch's loader deals those of a process to its workers in turn.

    Args:
        batch: images of one optimiser step, over all processes.
        accumulate: micro-batches of a step and process.
        world_size: processes.
        workers: of each process; 0 counts as one.
    """

    def __init__(self, batch: int, accumulate: int = 1, world_size: int = 1, workers: int = 1):
        workers = max(workers, 1)
        share = batch // world_size
        # After as many steps as there are workers, the pattern repeats.
        step, place = np.divmod(np.arange(batch * workers), batch)
        rank, place = np.divmod(place, share)
        micro_batch = step * accumulate + place // (share // accumulate)
        self.count = world_size * workers
        self._pattern = rank * workers + micro_batch % workers
        self._whole = np.bincount(self._pattern, minlength=self.count)

    def stream(self, number: int) -> int:
        """The stream of a sample number."""
        return int(self._pattern[number % len(self._pattern)])

    def before(self, number: int) -> np.ndarray:
        """(streams + 1,) int64: at s, the numbers below ``number`` that belong to streams < s."""
        periods, rest = divmod(number, len(self._pattern))
        started = np.bincount(self._pattern[:rest], minlength=self.count)
        counts = periods * self._whole + started
        return np.concatenate([[0], np.cumsum(counts)])


@dataclass
class _Plan:
    """What a stream reads in an epoch.

    Attributes:
        epoch: the epoch.
        stream: the stream.
        first: numbers of the stream in earlier epochs.
        indices: (N,) into the dataset, in the order they lie in the shards.
        order: (N,) which of ``indices`` is the stream's first, second ... sample.
        turn: (N,) its inverse: when each of ``indices`` is due.
    """

    epoch: int
    stream: int
    first: int
    indices: np.ndarray
    order: np.ndarray
    turn: np.ndarray


class ShardStreams:
    """Sample number n of a run -> dataset dict; every epoch is a permutation of the dataset.

    In each epoch the shards are shuffled and laid end to end, and the streams take consecutive
    parts of that, as long as their share of the epoch. So every image is read once, by
    one worker, and a shard by one or two. A stream moves each image back by up to ``buffer``
    places at random, and holds as many in memory. All of it depends only on the seed, the epoch and
    the split, so a resumed run continues with the same images; another number of
    processes or workers, or another batch, gives another order.

    Args:
        dicts: the shards.
        split: how numbers are dealt.
        seed: the run's, not negative.
        buffer: images each stream shuffles among, at least 1: 1 keeps the order of the shards.
    """

    def __init__(self, dicts: ShardedDicts, split: StreamSplit, seed: int, buffer: int):
        if buffer < 1:
            raise ValueError(f"DATALOADER.SHARD_BUFFER is {buffer}; it must be at least 1")
        self.dicts = dicts
        self.split = split
        self.seed = seed
        self.buffer = buffer
        self._starts = np.cumsum(dicts.sizes) - dicts.sizes
        self._plan: _Plan | None = None
        self._due = -1  # the turn that comes next
        self._at = 0  # the next of the plan's indices to read
        self._held: dict[int, dict[str, Any]] = {}  # read already, and due later

    def __len__(self) -> int:
        return len(self.dicts)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """The dict of sample ``number``; numbers of one stream are best asked for in order."""
        epoch, stream = number // len(self), self.split.stream(number)
        if self._plan is None or (self._plan.epoch, self._plan.stream) != (epoch, stream):
            self._plan = self._make_plan(epoch, stream)
            self._due = -1
        turn = int(np.diff(self.split.before(number))[stream]) - self._plan.first
        return self._take(self._plan, turn)

    def _take(self, plan: _Plan, turn: int) -> dict[str, Any]:
        if turn != self._due:
            # At the start, after a resume, or out of order: everything due before is skipped.
            self._held.clear()
            self._at = int(plan.order[turn:].min())
        self._due = turn + 1
        wanted = int(plan.order[turn])
        while wanted not in self._held:
            if plan.turn[self._at] >= turn:
                self._held[self._at] = self.dicts[int(plan.indices[self._at])]
            self._at += 1
        return self._held.pop(wanted)

    def _make_plan(self, epoch: int, stream: int) -> _Plan:
        total = len(self)
        before, after = (self.split.before(n) for n in (epoch * total, (epoch + 1) * total))
        start, end = (after - before)[stream : stream + 2]
        shards = self._generator(epoch).permutation(len(self._starts))
        # Places start ... end - 1 of the shuffled shards laid end to end, as dataset indices.
        sizes = self.dicts.sizes[shards]
        ends = np.cumsum(sizes)
        places = np.arange(start, end)
        lies_in = np.searchsorted(ends, places, side="right")
        indices = self._starts[shards][lies_in] + places - (ends - sizes)[lies_in]
        # The image at place p is due after everything up to place p - buffer.
        delays = self._generator(epoch, stream).uniform(0, self.buffer, len(places))
        order = np.argsort(places + delays * (self.buffer > 1), kind="stable")
        turn = np.empty_like(order)
        turn[order] = np.arange(len(order))
        return _Plan(epoch, stream, int(np.diff(before)[stream]), indices, order, turn)

    def _generator(self, epoch: int, *stream: int) -> np.random.Generator:
        return np.random.default_rng(derive_seed(EPOCHS, self.seed, epoch, *stream))
