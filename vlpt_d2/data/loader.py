"""The training and the test loader."""

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.data.common import DatasetFromList
from detectron2.utils import comm
from torch.utils.data import DataLoader, Dataset

from ..config import load_parts
from ..utils.nearest import did_you_mean
from ..utils.rng import SAMPLES, derive_seed, seeded_rng
from .collate import CollatedBatch
from .image_io import CorruptImageError
from .lazy import JoinedDicts, LazyDicts, SelectedDicts, has_word, trainable
from .mapper import build_mapper
from .samplers import EpochPermutation, TrainingBatches, even_batches
from .shards import ShardedDicts, ShardStreams, StreamSplit

__all__ = [
    "SeededDataset",
    "build_test_loader",
    "build_train_loader",
    "check_datasets",
    "get_dataset_dicts",
]

logger = logging.getLogger(__name__)

_NO_TEXT = "as nothing is annotated or all of it is ignored. Look at it: vlpt-d2 data check DATASET"
# Broken images in a row, after which something else is wrong.
_MAX_BROKEN = 100


class SeededDataset(Dataset):
    """Sample number n, mapped under generators that are seeded from (seed, n) alone.

    So a sample is the same in whichever process it is made, and after resuming; the generators
    of the process it is made in are left as they were.
    """

    def __init__(
        self,
        dicts: Sequence[dict],
        mapper: Callable[[dict], dict],
        seed: int,
        order: EpochPermutation | None = None,
        skip_broken: bool = False,
    ):
        """
        Args:
            dicts: dataset dicts.
            mapper: from a dataset dict to a sample. It draws from python's, numpy's and torch's
                global generators and keeps no random state of its own.
            seed: the run's, not negative.
            order: from n to an index into ``dicts``; None: n is the index.
            skip_broken: put another image in the place of one that cannot be decoded, the same
                whenever sample n is made, and warn.
        """
        self.dicts = dicts
        self.mapper = mapper
        self.seed = seed
        self.order = order
        self.skip_broken = skip_broken
        self._broken: set[str] = set()

    def __len__(self) -> int:
        return len(self.dicts)

    def __getitem__(self, number: int) -> dict:
        """Make a sample.

        Raises:
            CorruptImageError: its image cannot be decoded; with ``skip_broken``, nor can any of
                many others.
        """
        index = number if self.order is None else self.order[number]
        try:
            return self._map(self.dicts, index, number)
        except CorruptImageError as error:
            if not self.skip_broken:
                raise
            return self._other(number, error)

    def _map(self, dicts: Sequence[dict], index: int, number: int) -> dict:
        with seeded_rng(SAMPLES, self.seed, number):
            return self.mapper(dicts[index])

    def _other(self, number: int, error: CorruptImageError) -> dict:
        # Any of the shards' images: in the order they are read in, each is somebody's sample.
        dicts = self.dicts.dicts if isinstance(self.dicts, ShardStreams) else self.dicts
        for attempt in range(_MAX_BROKEN):
            if str(error) not in self._broken:
                self._broken.add(str(error))
                logger.warning(
                    "%s It is passed over, and another takes its place (broken images that this "
                    "process has seen: %d)",
                    error,
                    len(self._broken),
                )
            index = derive_seed(SAMPLES, self.seed, number, attempt) % len(dicts)
            try:
                return self._map(dicts, index, number)
            except CorruptImageError as next_error:
                error = next_error
        raise error


def check_datasets(names: Iterable[str]) -> None:
    """Check that datasets are registered.

    Raises:
        KeyError: one is not.
    """
    load_parts()
    for name in names:
        if name not in DatasetCatalog:
            known = DatasetCatalog.keys()
            hint = did_you_mean(name, known)
            if not hint and multiprocessing.parent_process() is not None:
                hint = (
                    " in this process. Several processes import the script again, without what is "
                    "below `if __name__ == '__main__'`: register the dataset above that line"
                )
            raise KeyError(f"no dataset {name!r} is registered{hint}")


def get_dataset_dicts(names: Sequence[str], filter_empty: bool = False) -> Sequence[dict]:
    """Read registered datasets and join them.

    Args:
        names: registered names, at least one.
        filter_empty: leave out images that are annotated but have nothing to learn from: no
            annotation, or crowds alone.

    Returns:
        Dataset dicts, those of the first name first: a list, or a :class:`LazyDicts` if one of the
        datasets is.

    Raises:
        KeyError: a name is not registered.
        ValueError: there is no name, or no image.
    """
    if not names:
        raise ValueError("no dataset is named; set DATASETS.TRAIN (or DATASETS.TEST)")
    check_datasets(names)
    parts = [DatasetCatalog.get(name) for name in names]
    dicts: Any
    if all(isinstance(part, ShardedDicts) for part in parts):
        dicts = ShardedDicts.joined(parts)
    elif any(isinstance(part, LazyDicts) for part in parts):
        dicts = JoinedDicts(parts)
    else:
        dicts = [dataset_dict for part in parts for dataset_dict in part]
    before = len(dicts)
    if filter_empty:
        kept = np.flatnonzero(trainable(dicts))
        lazy = isinstance(dicts, LazyDicts)
        dicts = dicts.select(kept) if lazy else [dicts[i] for i in kept]
        logger.info("%d of %d images have no usable annotation", before - len(dicts), before)
    if not len(dicts):
        left_out = (
            f": DATALOADER.FILTER_EMPTY_ANNOTATIONS leaves out all {before}, {_NO_TEXT}"
            if filter_empty
            else ""
        )
        raise ValueError(f"the datasets {', '.join(names)} have no image to use{left_out}")
    sizes = ", ".join(f"{name} {len(part)}" for name, part in zip(names, parts))
    logger.info("%d images: %s", len(dicts), sizes)
    return dicts


def build_train_loader(cfg: CfgNode, start_iter: int = 0, seed: int | None = None) -> DataLoader:
    """Build the endless loader of this process's micro-batches.

    Sampling is by :class:`TrainingBatches` and :class:`EpochPermutation`, of shards by
    :class:`~vlpt_d2.data.shards.ShardStreams`; detectron2's keys ``SAMPLER_TRAIN`` and
    ``ASPECT_RATIO_GROUPING`` have no part in it.

    Args:
        cfg: reads DATASETS.TRAIN, DATALOADER, SOLVER.IMS_PER_BATCH, SOLVER.ACCUMULATE, and what
            the mapper needs.
        start_iter: the optimiser step of the first batch.
        seed: the run's; ``cfg.SEED`` if not given, which must then not be negative.

    Returns:
        An iterable of lists of samples, ``SOLVER.ACCUMULATE`` of them for each step.

    Raises:
        ValueError: an image has no ground truth, no image has a text to learn, or shards are mixed
            with other datasets.
    """
    seed = cfg.SEED if seed is None else seed
    dicts: Any = get_dataset_dicts(cfg.DATASETS.TRAIN, cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS)
    mapper = build_mapper(cfg, True)
    _refuse_unannotated(dicts)
    _refuse_textless(dicts, ", ".join(cfg.DATASETS.TRAIN), getattr(mapper, "needs_words", False))
    order = None
    if isinstance(dicts, ShardedDicts):
        split = StreamSplit(
            cfg.SOLVER.IMS_PER_BATCH,
            cfg.SOLVER.ACCUMULATE,
            comm.get_world_size(),
            cfg.DATALOADER.NUM_WORKERS,
        )
        dicts = ShardStreams(dicts, split, seed, cfg.DATALOADER.SHARD_BUFFER)
    else:
        dicts, order = _compact(dicts), EpochPermutation(len(dicts), seed)
    dataset = SeededDataset(dicts, mapper, seed, order, cfg.DATALOADER.SKIP_BROKEN_IMAGES)
    batches = TrainingBatches(
        cfg.SOLVER.IMS_PER_BATCH,
        start_iter=start_iter,
        accumulate=cfg.SOLVER.ACCUMULATE,
        rank=comm.get_rank(),
        world_size=comm.get_world_size(),
    )
    return _loader(cfg, dataset, batches)


def build_test_loader(cfg: CfgNode, name: str) -> DataLoader:
    """Build the loader of this process's share of one dataset, in order.

    Args:
        cfg: reads DATALOADER, TEST.IMS_PER_BATCH, and what the mapper needs.
        name: a registered dataset.

    Returns:
        An iterable, with a length, of lists of samples; see :func:`even_batches`. A sample is
        the same in every evaluation.
    """
    dicts = get_dataset_dicts([name])
    dataset = SeededDataset(_compact(dicts), build_mapper(cfg, False), seed=0)
    batches = even_batches(
        len(dicts), cfg.TEST.IMS_PER_BATCH, comm.get_rank(), comm.get_world_size()
    )
    return _loader(cfg, dataset, batches)


class _Loader(DataLoader):
    """torch's loader, of lists of samples."""

    def __iter__(self) -> Iterator[list[dict]]:  # type: ignore[override] # not torch's private class
        return map(CollatedBatch.samples, super().__iter__())


def _loader(cfg: CfgNode, dataset: Dataset, batches: Any) -> DataLoader:
    workers = cfg.DATALOADER.NUM_WORKERS
    return _Loader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=CollatedBatch,
        pin_memory=torch.device(cfg.MODEL.DEVICE).type == "cuda" and torch.cuda.is_available(),
        worker_init_fn=_start_worker,
        # A generator of its own: by default the loader draws a number from the process's.
        generator=torch.Generator().manual_seed(0),
    )


def _refuse_unannotated(dicts: Sequence[dict]) -> None:
    """Images of test sets would be learnt from as if they held no text."""
    if isinstance(dicts, ShardedDicts):
        if not dicts.annotated:
            raise ValueError(
                f"{dicts.shards[0].url}: has images without ground truth, which cannot be "
                "trained on. Take these shards out of DATASETS.TRAIN"
            )
        return
    for part in dicts.parts if isinstance(dicts, JoinedDicts) else [dicts]:
        if isinstance(part, ShardedDicts):
            raise ValueError(
                "DATASETS.TRAIN mixes shards with other datasets; shards are read in their own "
                "order, so write the others as shards too: vlpt-d2 data shard NAME FOLDER"
            )
        if isinstance(part, LazyDicts):
            continue
        for dataset_dict in part:
            if "annotations" not in dataset_dict and "render" not in dataset_dict:
                raise ValueError(
                    f"{dataset_dict.get('file_name')} has no ground truth: a set without cannot "
                    "be trained on. Take it out of DATASETS.TRAIN"
                )


def _refuse_textless(dicts: Sequence[dict], names: str, needs_words: bool) -> None:
    """A training on images without any text ends without an error, and has learnt nothing."""
    if not trainable(dicts).any():
        raise ValueError(f"no image of {names} has a text to learn, {_NO_TEXT}")
    # Shards hold their words in the archives, which are not read for this.
    if needs_words and not isinstance(dicts, ShardedDicts) and not any(map(has_word, dicts)):
        raise ValueError(
            f"no image of {names} has a word to read, and the pre-training learns from words: "
            "label what the texts say, or take other images"
        )


def _compact(dicts: Sequence[dict]) -> Sequence[dict]:
    """Lists as bytes, which forked workers share; what is lazy already as it is."""
    if isinstance(dicts, JoinedDicts):
        return JoinedDicts(_compact(part) for part in dicts.parts)
    if isinstance(dicts, SelectedDicts):
        return SelectedDicts(_compact(dicts.dicts), dicts.indices)
    return dicts if isinstance(dicts, LazyDicts) else DatasetFromList(dicts, copy=False)


def _start_worker(worker: int) -> None:
    # 1 would wait for ever for threads of OpenCV that the main process had and a fork leaves out.
    cv2.setNumThreads(0)
