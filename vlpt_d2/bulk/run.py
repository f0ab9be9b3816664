"""All shards of a source: in this process, in those of torchrun, or in workers of Ray."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

from pyarrow import fs

from ..utils.locks import lock_folder
from ..utils.progress_bar import progress_bar
from .detector import BulkDetector, may_use_gpu
from .shards import Shard, list_shards, open_place, shard_name, write_whole

__all__ = ["BulkDone", "detect_bulk"]

# What the rows depend on. Readers of Parquet leave out names with an underscore.
_SETTINGS = "_bulk.json"


@dataclass
class BulkDone:
    """What was done; under torchrun by this process.

    Attributes:
        shards: that there are.
        resumed: of these, shards that an earlier run has written.
        images: rows that were written.
        failed: of these, images that could not be read.
    """

    shards: int = 0
    resumed: int = 0
    images: int = 0
    failed: int = 0


def detect_bulk(
    source: str,
    output: str,
    *,
    per_shard: int = 1000,
    ray_workers: int = 0,
    **predictor: Any,
) -> BulkDone:
    """Find the texts of all images of a source, and write ``part-000000.parquet`` and so on.

    A shard's file appears when it is whole. A run that was interrupted resumes with those that are
    missing. Under torchrun each process takes its share of the shards.

    Args:
        source: see :func:`~.shards.list_shards`.
        output: a folder, which is created, or its URI.
        per_shard: see :func:`~.shards.list_shards`.
        ray_workers: number of workers of Ray Data, on this machine or on the cluster that
            RAY_ADDRESS names, each with a GPU where there are some and the device is "auto"; with
            0 the images are read in this process.
        predictor: arguments of :class:`~vlpt_d2.TextPredictor`.

    Returns:
        What was done.

    Raises:
        FileNotFoundError: the source or the weights are missing.
        ValueError: there is no image, the predictor cannot be built, or the output was made of
            other images or by another model.
        FolderInUseError: another run writes to the output.
        OSError: the output cannot be written to.
    """
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if ray_workers and size > 1:
        raise ValueError("take torchrun or Ray, not both: Ray starts its own processes")
    # A worker of Ray may run in another folder.
    source, output = (p if "://" in p else os.path.abspath(p) for p in (source, output))
    shards, digest = list_shards(source, per_shard)
    results, folder = open_place(output)
    with ExitStack() as stack:
        results.create_dir(folder)
        if rank == 0 and isinstance(results, fs.LocalFileSystem):
            stack.enter_context(lock_folder(folder))
        # With Ray it only tells whether the predictor can be built, and its settings.
        device = {"device": "cpu"} if ray_workers and may_use_gpu(predictor) else {}
        detector = BulkDetector(source, output, {**predictor, **device})
        settings = {"images": digest, "per_shard": per_shard, **detector.description}
        settings = json.loads(json.dumps(settings))
        _check_settings(results, folder, settings, rank == 0)
        shards = shards[rank::size]
        there = results.get_file_info(fs.FileSelector(folder, allow_not_found=True))
        written = {info.base_name for info in there}
        todo = [shard for shard in shards if shard_name(shard) not in written]
        done = BulkDone(len(shards), len(shards) - len(todo))
        ended: Iterable[dict[str, int]] = map(detector, todo)
        if ray_workers and todo:
            ended = _map_with_ray(todo, source, output, predictor, ray_workers)
        start = time.monotonic()
        bar = progress_bar(len(shards), done.resumed, unit="shard", disable=rank > 0)
        with bar:
            for shard in ended:
                done.images += shard["images"]
                done.failed += shard["failed"]
                rate = done.images / (time.monotonic() - start)
                bar.set_postfix_str(f"{rate:.1f} images/s", refresh=False)
                bar.update()
    return done


def _check_settings(
    results: fs.FileSystem, folder: str, settings: dict[str, Any], write: bool
) -> None:
    path = f"{folder}/{_SETTINGS}"
    if results.get_file_info(path).type == fs.FileType.NotFound:
        if write:
            write_whole(results, path, json.dumps(settings, indent=1).encode())
        return
    with results.open_input_file(path) as file:
        before = json.loads(file.read())
    changed = [name for name, value in settings.items() if before.get(name) != value]
    if changed:
        raise ValueError(
            f"{folder} holds detections with other {', '.join(changed)}: name another folder with "
            "--output"
        )


def _map_with_ray(
    shards: list[Shard], source: str, output: str, predictor: dict[str, Any], workers: int
) -> Iterator[dict[str, int]]:
    import ray.data

    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    # There is a bar here.
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    ray.data.DataContext.get_current().enable_progress_bars = False
    gpus = 1 if may_use_gpu(predictor) and ray.cluster_resources().get("GPU", 0) else None
    done = ray.data.from_items(shards, override_num_blocks=len(shards)).map(
        cast(Any, BulkDetector),
        fn_constructor_args=(source, output, predictor),
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_gpus=gpus,
    )
    yield from done.iter_rows()
