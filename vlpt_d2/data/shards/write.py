"""A dataset written as shards."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...utils.atomic import replacing, write_json
from ...utils.checksums import with_checksum
from ...utils.locks import lock_folder
from ..image_io import image_source, open_source
from ..lazy import is_trainable
from ..sample import load_sample
from .archive import add_sample, sample_name
from .dataset import INDEX, VERSION, check_name, read_index

__all__ = ["write_shards"]

_PROGRESS = "progress.json"


def write_shards(
    dicts: Sequence[dict[str, Any]],
    folder: str | Path,
    name: str,
    *,
    per_shard: int = 1000,
    seed: int | None = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write ``<name>-000000.tar`` ... and ``shards.json``, the index that readers ask for.

    A run that was interrupted resumes after its last whole shard, and shards that are missing or
    cut off are written again. Image files are taken as they are; rendered images become PNG files.

    Args:
        dicts: dataset dicts.
        folder: is created.
        name: of the shards, usually the dataset's.
        per_shard: images of a shard.
        seed: of the order the images are written in; None keeps the dataset's. Neighbours in a
            shard are read at about the same time, so they should not be alike.
        progress: called with the images done and their total.

    Returns:
        The index.

    Raises:
        ValueError: ``per_shard`` is not positive, there is no image, the name has characters that
            no shard's has, or the folder holds other shards or shards with other labels.
        FolderInUseError: another process writes to the folder.
        FileNotFoundError: an image is missing.
    """
    if per_shard < 1 or not len(dicts):
        raise ValueError(f"{len(dicts)} images cannot be written in shards of {per_shard}")
    check_name(name)
    folder = Path(folder)
    key = {"name": name, "images": len(dicts), "per_shard": per_shard, "seed": seed}
    order = np.arange(len(dicts))
    if seed is not None:
        order = np.random.RandomState(seed).permutation(len(dicts))
    with lock_folder(folder):
        index = _begun(folder, key)
        for number in range(-(-len(dicts) // per_shard)):
            places = order[number * per_shard : (number + 1) * per_shard]
            path = folder / f"{name}-{number:06d}.tar"
            if number < len(index["shards"]):
                entry = index["shards"][number]
                if entry["labels"] != _labels(dicts[int(place)] for place in places):
                    raise ValueError(
                        f"{path} has other labels than the dataset has now: empty {folder} and "
                        "write all shards again, or name another folder"
                    )
                if path.is_file() and entry.get("bytes") == path.stat().st_size:
                    continue
            records = (dicts[int(place)] for place in places)
            entry, annotated = _write_shard(path, records, number * per_shard)
            index["annotated"] &= annotated
            index["shards"][number : number + 1] = [entry]
            write_json(folder / _PROGRESS, with_checksum(index))
            if progress is not None:
                progress(number * per_shard + len(places), len(dicts))
        if (folder / _PROGRESS).is_file():
            os.replace(folder / _PROGRESS, folder / INDEX)
        return index


def _begun(folder: Path, key: dict[str, Any]) -> dict[str, Any]:
    """The index as far as it is written."""
    for path in (folder / INDEX, folder / _PROGRESS):
        if path.is_file():
            index = read_index(str(path))
            if index["key"] != key:
                raise ValueError(
                    f"{folder} holds shards of {index['key']}, not of {key}: name another folder, "
                    "or empty this one"
                )
            return index
    return {"version": VERSION, "key": key, "annotated": True, "shards": []}


def _write_shard(
    path: Path, records: Iterable[dict[str, Any]], first: int
) -> tuple[dict[str, Any], bool]:
    """Write a shard; return its entry in the index, and whether all are annotated."""
    unusable, annotated, labels = [], True, hashlib.blake2b(digest_size=8)
    with (
        replacing(path) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for place, record in enumerate(records):
            labels.update(_label(record))
            record, image, suffix = _content(record)
            annotated &= "annotations" in record
            if not is_trainable(record):
                unusable.append(place)
            add_sample(archive, sample_name(first + place), record, image, suffix)
    entry = {
        "file": path.name,
        "images": place + 1,
        "bytes": path.stat().st_size,
        "unusable": unusable,
        "labels": labels.hexdigest(),
    }
    return entry, annotated


def _labels(records: Iterable[dict[str, Any]]) -> str:
    """What tells the labels of a shard from others, wherever the images are."""
    labels = hashlib.blake2b(digest_size=8)
    for record in records:
        labels.update(_label(record))
    return labels.hexdigest()


def _label(record: dict[str, Any]) -> bytes:
    label = {key: value for key, value in record.items() if key != "image_bytes"}
    label["file_name"] = Path(record["file_name"]).name
    return json.dumps(label, sort_keys=True, default=_shown).encode()


def _shown(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else repr(value)


def _content(record: dict[str, Any]) -> tuple[dict[str, Any], bytes, str]:
    """The dict without its image, the image's file, and its suffix."""
    record, name = dict(record), Path(record["file_name"]).name
    if "render" in record:
        pixels, texts = load_sample(record, "RGB")
        record["annotations"] = texts.to_annotations()
        del record["render"]
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        image, name = buffer.getvalue(), f"{Path(name).stem}.png"
    else:
        with open_source(image_source(record)) as file:
            image = file.read()
        record.pop("image_bytes", None)
    record["file_name"] = name
    return record, image, Path(name).suffix.lower() or ".jpg"
