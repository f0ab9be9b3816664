"""What a dataset declares: its reader, splits, archives and files; and the table of those known.

Each dataset's file declares a :class:`TextDataset`. A package of your own declares one in the same
way and calls :func:`register_dataset`: its splits are then registered with detectron2, and
``vlpt-d2 doctor``, ``vlpt-d2 evaluate`` and ``datasets/prepare.py`` know it.

Checksums of archives are those of MMOCR's dataset zoo (open-mmlab/mmocr,
``dataset_zoo/*/textdet.py``), of ICDAR2015's test ground truth that of faustomorales/mira
(``mira/datasets/preloaded.py``). Where none is listed, none was found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ...utils.environment import data_root
from .file_format import FileFormat
from .report import LISTING, ReadReport, load_logged

__all__ = [
    "DATASETS",
    "IMAGES",
    "Archive",
    "TextDataset",
    "flat_archive",
    "missing_files",
    "own_archive",
    "read_split",
    "register_dataset",
    "register_text_dataset",
    "single_file",
]

#: Suffixes of images in archives, as a pattern.
IMAGES = "jpe?g|png|gif|bmp|tiff?|webp"

Dicts = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Archive:
    """A published file.

    Attributes:
        name: its file name.
        rules: (pattern, place): a member whose path matches the pattern, at its end and whatever
            its case, goes to the place, with ``\\1`` for the pattern's first group. The first that
            matches counts, and members that none does are left out.
        checksums: MD5 or SHA-256 of its known releases, as hexadecimal digits.
        other_names: under which it is published, too.
    """

    name: str
    rules: tuple[tuple[str, str], ...]
    checksums: tuple[str, ...] = ()
    other_names: tuple[str, ...] = ()


def flat_archive(
    name: str, folder: str, kinds: str, *checksums: str, other: Sequence[str] = ()
) -> Archive:
    """All files of some kinds into one folder, wherever they lie in the archive."""
    return Archive(name, ((rf"([^/]+\.(?:{kinds}))", rf"{folder}/\1"),), checksums, tuple(other))


def own_archive(name: str, kinds: str, *checksums: str) -> Archive:
    """The same, the folder named as the archive."""
    return flat_archive(name, name.partition(".")[0], kinds, *checksums)


def single_file(name: str, *checksums: str) -> Archive:
    """A file that is not an archive."""
    return Archive(name, ((f"({re.escape(name)})", r"\1"),), checksums)


@dataclass(frozen=True)
class TextDataset:
    """A dataset of one class, "text".

    Attributes:
        name: its folder under ``DETECTRON2_DATASETS``, and the start of its splits' names:
            ``<name>_<split>``.
        title: as its authors write it.
        read: the reader, called with the folder, the split and ``name=<name>_<split>``, the name in
            the report. It returns dataset dicts, ``image_id`` counted from 1, and the report. It
            raises a ``FileNotFoundError`` where a folder, an image or its ground truth is missing,
            and a ``GroundTruthError`` for a file or line that cannot be read.
        splits: the splits of the reader.
        protocol: the protocol that measures it; a name of
            :data:`vlpt_d2.evaluation.protocols.PROTOCOLS`.
        parts: further splits: a name to the split that it is a part of, and a function from that
            one's dicts to its own.
        archives: the files it is published as, if they can be unpacked for the user.
        file_format: how the files of its benchmark are named and written, where it has one.
        submission_formats: split -> the format of its server, where it is not the protocol's.
        next_step: the command that follows unpacking, with ``{root}`` for its folder; empty: to
            check it.
        index: a file that the command makes; without it the dataset is not ready.
    """

    name: str
    title: str
    read: Callable[..., tuple[Dicts, ReadReport]]
    splits: tuple[str, ...]
    protocol: str = "icdar2015"
    parts: Mapping[str, tuple[str, Callable[[Any], Dicts]]] = field(default_factory=dict)
    archives: tuple[Archive, ...] = ()
    file_format: FileFormat | None = None
    submission_formats: Mapping[str, str] = field(default_factory=dict)
    next_step: str = ""
    index: str = ""


#: Name -> dataset; :mod:`~.builtin` fills in those of this package.
DATASETS: dict[str, TextDataset] = {}
# Registered name -> kind, source and protocol.
_registered: dict[str, tuple[str, Hashable, str]] = {}


def register_dataset(dataset: TextDataset) -> None:
    """Make a dataset known, and register its splits with detectron2.

    Nothing is read: a split is looked for when it is first used.

    Raises:
        ValueError: another dataset has the name, or one of the splits' names.
    """
    from detectron2.data import MetadataCatalog

    if DATASETS.setdefault(dataset.name, dataset) is not dataset:
        raise ValueError(f"there is a dataset {dataset.name!r} already; choose another name")
    loaders: dict[str, Callable[[], Dicts]] = {
        split: partial(load_logged, read_split, f"{dataset.name}_{split}")
        for split in dataset.splits
    }
    for part, (split, select) in dataset.parts.items():
        loaders[part] = partial(_load_part, select, loaders[split])
    for split, load in loaders.items():
        name = f"{dataset.name}_{split}"
        register_text_dataset(name, load, dataset.protocol, (id(dataset), split))
        if split in dataset.submission_formats:
            MetadataCatalog.get(name).submission_format = dataset.submission_formats[split]


def _load_part(select: Callable[[Any], Dicts], load: Callable[[], Dicts]) -> Dicts:
    return select(load())


def read_split(name: str, root: str | Path | None = None) -> tuple[Dicts, ReadReport]:
    """Read a split of :data:`DATASETS` with what was found in it.

    Args:
        name: such as "total_text_test".
        root: the folder of all datasets; :func:`~vlpt_d2.utils.environment.data_root` if not given.

    Returns:
        Dataset dicts and the report.

    Raises:
        KeyError: no such split.
    """
    for dataset in DATASETS.values():
        split = name.removeprefix(f"{dataset.name}_")
        if split in dataset.splits:
            return dataset.read(Path(root or data_root()) / dataset.name, split, name=name)
    raise KeyError(name)


def missing_files(dataset: TextDataset, root: str | Path) -> dict[str, str]:
    """Look which files of a dataset are there; none is read.

    Args:
        dataset: one of this package, or one whose reader looks at ``report.LISTING``.
        root: the folder of all datasets.

    Returns:
        The splits that are incomplete, to what they lack.
    """
    found = {}
    token = LISTING.set(True)
    try:
        for split in dataset.splits:
            name = f"{dataset.name}_{split}"
            try:
                _, report = dataset.read(Path(root) / dataset.name, split, name=name)
            except FileNotFoundError as error:
                found[split] = str(error).splitlines()[0].rstrip(";")
            else:
                lacks = [
                    f"{number} {fault}, such as {report.examples[fault][0]}"
                    for fault, number in report.dropped.items()
                ]
                found.update({split: "; ".join(lacks)} if lacks else {})
    finally:
        LISTING.reset(token)
    return found


def register_text_dataset(
    name: str,
    load: Callable[[], Dicts],
    evaluator_type: str,
    source: Hashable = None,
    kind: str = "",
) -> None:
    """Register one set of dataset dicts.

    Args:
        name: the name for ``cfg.DATASETS.TRAIN`` and ``TEST``.
        load: returns the dataset dicts; called when the dataset is first used.
        evaluator_type: the protocol that measures it, such as ``"icdar2015"``.
        source: what ``load`` reads. A name may be registered again with the same one, as configs
            are read more than once.
        kind: of what configs describe, such as "shards"; one of the same kind is replaced.

    Raises:
        ValueError: the name is registered already, with another source or without one.
    """
    from detectron2.data import DatasetCatalog, MetadataCatalog

    entry = (kind, source, evaluator_type)
    if name in DatasetCatalog.list():
        known = _registered.get(name)
        if source is not None and known == entry:
            return
        if not kind or known is None or known[0] != kind:
            raise ValueError(
                f"a dataset {name!r} is registered already. Choose another name, or call "
                f"DatasetCatalog.remove({name!r}) and MetadataCatalog.remove({name!r}) before."
            )
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
    DatasetCatalog.register(name, load)
    _registered[name] = entry
    MetadataCatalog.get(name).set(thing_classes=["text"], evaluator_type=evaluator_type)
