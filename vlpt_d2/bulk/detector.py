"""From a shard of images to a file of rows."""

from __future__ import annotations

import os
import tarfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa
from pyarrow import fs, parquet

from ..data.image_io import CorruptImageError, count_pages, read_image
from ..detections import TextDetections
from ..predictor import TextPredictor
from .shards import Shard, is_image, is_tar, open_place, open_source, shard_name, write_whole

__all__ = ["SCHEMA", "BulkDetector", "may_use_gpu"]

#: The columns. A row is an image, or a page of a TIFF. Pixels are those of the image, turned as its
#: EXIF data say; a polygon is [x0, y0, x1, y1, …]. Texts are null where the model does not read. An
#: image that cannot be read has an error and no size, polygons, scores and texts.
SCHEMA = pa.schema(
    {
        "image": pa.string(),
        "page": pa.int32(),
        "width": pa.int32(),
        "height": pa.int32(),
        "polygons": pa.list_(pa.list_(pa.float32())),
        "scores": pa.list_(pa.float32()),
        "texts": pa.list_(pa.string()),
        "error": pa.string(),
        "model": pa.string(),
        "weights_sha256": pa.string(),
    }
)

# Files that are read before the detector asks for them, and the threads that read.
_AHEAD, _READERS = 16, 8


class BulkDetector:
    """Finds the texts of shards and writes them; a callable class for ``ray.data.Dataset.map``.

    Attributes:
        predictor: detects.
        description: what detections depend on, see :meth:`TextPredictor.description`.
    """

    def __init__(self, source: str, output: str, predictor: dict[str, Any]):
        """Build the predictor.

        Args:
            source: see :func:`~.shards.list_shards`.
            output: a folder that exists, or its URI.
            predictor: arguments of :class:`~vlpt_d2.TextPredictor`. Under torchrun the device
                "auto" is the GPU of the process's local rank.

        Raises:
            ValueError, FileNotFoundError, CheckpointError, ExportError: see the predictor.
        """
        self._images, self._source, _ = open_source(source)
        self._results, self._output = open_place(output)
        self.predictor = TextPredictor(**_on_local_gpu(predictor))
        if hasattr(self.predictor, "cfg"):
            from ..engine.threads import set_threads

            set_threads(self.predictor.cfg)
        self.description = self.predictor.description()

    def __call__(self, shard: Shard) -> dict[str, int]:
        """Write the rows of a shard, unless its file is there.

        Args:
            shard: of :func:`~.shards.list_shards`.

        Returns:
            "images", the rows of the file, and of these "failed".

        Raises:
            OSError: the output cannot be written to.
        """
        path = f"{self._output}/{shard_name(shard)}"
        if self._results.get_file_info(path).type == fs.FileType.File:
            # Of a worker that was killed before it could report.
            with self._results.open_input_file(path) as file:
                return _counts(parquet.read_table(file, columns=["error"]))
        tables = [SCHEMA.empty_table()]
        with ThreadPoolExecutor(_READERS) as pool:
            loads = (pool.submit(_load, *file) for file in self._files(shard["files"]))
            pages = (page for load in _ahead(loads) for page in load.result())
            while batch := list(islice(pages, self.predictor.batch_size)):
                tables.append(pa.Table.from_pylist(self._rows(batch), SCHEMA))
        table = pa.concat_tables(tables)
        buffer = pa.BufferOutputStream()
        parquet.write_table(table, buffer)
        write_whole(self._results, path, memoryview(buffer.getvalue()))
        return _counts(table)

    def _files(self, names: Sequence[str]) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Names of the images, those in tar files included, and what reads them."""
        for name in names:
            path = f"{self._source}/{name}"
            if not is_tar(name):
                yield name, partial(self._read, path)
                continue
            try:
                with (
                    self._images.open_input_stream(path, compression=None) as stream,
                    tarfile.open(fileobj=stream, mode="r|*") as archive,
                ):
                    for member in archive:
                        if member.isfile() and is_image(member.name):
                            content = cast(IO[bytes], archive.extractfile(member)).read()
                            yield f"{name}/{member.name}", partial(bytes, content)
            # A damaged archive can fail in any way; its images up to there are whole.
            except Exception as error:
                reason = f"{name}: is not a complete tar file ({error or type(error).__name__})"
                yield name, partial(_fail, reason)

    def _read(self, path: str) -> bytes:
        with self._images.open_input_file(path) as file:
            return file.read()

    def _rows(self, pages: list[_Page]) -> list[dict[str, Any]]:
        found = iter(
            cast(
                list[TextDetections],
                self.predictor([page.image for page in pages if page.image is not None]),
            )
        )
        rows = []
        for page in pages:
            row = {name: self.description[name] for name in ("model", "weights_sha256")}
            row |= {"image": page.name, "page": page.number, "error": page.error}
            if page.image is not None:
                texts = next(found)
                row["height"], row["width"] = texts.image_size
                row["polygons"] = [polygon.ravel() for polygon in texts.polygons]
                row["scores"], row["texts"] = texts.scores, texts.words
            rows.append(row)
        return rows


@dataclass(frozen=True)
class _Page:
    """A page of a file, counted from 1: its pixels, or why there are none."""

    name: str
    number: int
    image: np.ndarray | None
    error: str | None = None


def _counts(table: pa.Table) -> dict[str, int]:
    return {"images": len(table), "failed": len(table) - table["error"].null_count}


def _load(name: str, read: Callable[[], bytes]) -> list[_Page]:
    pages: list[_Page] = []
    try:
        content = read()
        count = count_pages(content, name) if name.lower().endswith((".tif", ".tiff")) else 1
        for number in range(count):
            pages.append(_Page(name, number + 1, read_image(content, name, page=number)))
    except (OSError, CorruptImageError) as error:
        pages.append(_Page(name, len(pages) + 1, None, str(error)))
    return pages


def _fail(reason: str) -> bytes:
    raise CorruptImageError(reason)


def _ahead(loads: Iterator[Future[list[_Page]]]) -> Iterator[Future[list[_Page]]]:
    """The same, with some begun before they are asked for."""
    begun: deque[Future[list[_Page]]] = deque()
    for load in loads:
        begun.append(load)
        if len(begun) > _AHEAD:
            yield begun.popleft()
    yield from begun


def _on_local_gpu(predictor: dict[str, Any]) -> dict[str, Any]:
    if not may_use_gpu(predictor) or "LOCAL_RANK" not in os.environ:
        return predictor
    import torch

    if not torch.cuda.is_available():
        return predictor
    return {**predictor, "device": f"cuda:{os.environ['LOCAL_RANK']}"}


def may_use_gpu(predictor: dict[str, Any]) -> bool:
    """Whether a predictor's arguments leave its device open."""
    return (
        predictor.get("backend", "torch") == "torch" and predictor.get("device", "auto") == "auto"
    )
