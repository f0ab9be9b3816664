"""Registration of every dataset the plugin knows, by name.

Nothing is read here: a dataset is looked for under ``$DETECTRON2_DATASETS`` (default: the folder
``datasets``) when it is first used.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from ...utils.environment import data_root
from .ctw1500 import read_ctw1500
from .icdar2013 import read_icdar2013
from .icdar2015 import load_icdar2015, split_holdout
from .icdar_mlt import read_icdar2017_mlt, read_icdar2019_mlt
from .msra_td500 import read_hust_tr400, read_msra_td500
from .report import ReadReport, load_logged
from .rrc_json import read_art, read_lsvt
from .synthtext import read_synthtext, split_synthtext
from .textocr import read_coco_text, read_textocr
from .total_text import read_total_text
from .ustb_sv1k import read_ustb_sv1k

__all__ = [
    "BENCHMARKS",
    "read_benchmark",
    "register_all_icdar2015",
    "register_benchmarks",
    "register_synthtext_split",
    "register_text_dataset",
]

Reader = Callable[..., tuple[Sequence[dict[str, Any]], ReadReport]]

#: Dataset -> its folder under DETECTRON2_DATASETS, its splits, the protocol that measures it, and
#: its reader, which takes folder, split and the registered name. A dataset's split is registered
#: as ``<dataset>_<split>``.
BENCHMARKS: dict[str, tuple[str, tuple[str, ...], str, Reader]] = {
    "icdar2013": ("icdar2013", ("train", "test"), "icdar2013", read_icdar2013),
    "icdar2017_mlt": ("icdar2017_mlt", ("train", "val", "test"), "icdar2017", read_icdar2017_mlt),
    "icdar2019_mlt": ("icdar2019_mlt", ("train", "test"), "icdar2017", read_icdar2019_mlt),
    "icdar2019_art": ("icdar2019_art", ("train", "test"), "icdar2015", read_art),
    "lsvt": ("lsvt", ("train",), "icdar2015", read_lsvt),
    "msra_td500": ("msra_td500", ("train", "test"), "td500", read_msra_td500),
    "hust_tr400": ("hust_tr400", ("train",), "td500", read_hust_tr400),
    "ustb_sv1k": ("ustb_sv1k", ("train", "test"), "td500", read_ustb_sv1k),
    "total_text": ("total_text", ("train", "test"), "totaltext-deteval", read_total_text),
    "ctw1500": ("ctw1500", ("train", "test"), "ctw1500", read_ctw1500),
    "textocr": ("textocr", ("train", "val", "test"), "icdar2015", read_textocr),
    "coco_text": ("coco_text", ("train", "val", "test"), "icdar2015", read_coco_text),
    "synthtext": ("synthtext", ("train",), "icdar2015", read_synthtext),
}

# Name -> source and protocol of the datasets that were registered here.
_registered: dict[str, tuple[Hashable, str]] = {}
# ICDAR2015's images are all of one size, so a squeezed copy is known by its own.
_ICDAR2015_SIZE = (720, 1280)


def register_text_dataset(
    name: str,
    load: Callable[[], Sequence[dict[str, Any]]],
    evaluator_type: str,
    source: Hashable = None,
) -> None:
    """Register a dataset of one class, "text".

    Args:
        name: the name for ``cfg.DATASETS.TRAIN`` and ``TEST``.
        load: returns the dataset dicts; called when the dataset is first used.
        evaluator_type: the protocol that measures it, such as ``"icdar2015"``.
        source: what ``load`` reads. A name may be registered again with the same one, as configs
            are read more than once.

    Raises:
        ValueError: the name is registered already, with another source or without one.
    """
    entry = (source, evaluator_type)
    if name in DatasetCatalog.list():
        if source is not None and _registered.get(name) == entry:
            return
        raise ValueError(
            f"a dataset {name!r} is registered already. Choose another name, or call "
            f"DatasetCatalog.remove({name!r}) and MetadataCatalog.remove({name!r}) before."
        )
    DatasetCatalog.register(name, load)
    _registered[name] = entry
    MetadataCatalog.get(name).set(thing_classes=["text"], evaluator_type=evaluator_type)


def register_all_icdar2015() -> None:
    """Register ICDAR2015's two sets, and the fixed 900/100 split of the training images.

    Checkpoints and thresholds are to be chosen on ``icdar2015_trainval_val``, never on the test
    images. ``icdar2015_trainval_train_50`` and ``_200`` are that many of the 900, evenly spread:
    what a detector learns from few labels.
    """
    register_text_dataset("icdar2015_train", _load_train, "icdar2015")
    register_text_dataset("icdar2015_test", _load_test, "icdar2015")
    for part, position in (("train", 0), ("val", 1)):
        register_text_dataset(
            f"icdar2015_trainval_{part}", lambda i=position: _load_train_part(i), "icdar2015"
        )
    for count in (50, 200):
        register_text_dataset(
            f"icdar2015_trainval_train_{count}", partial(_load_few, count), "icdar2015"
        )


def _load_train() -> list[dict[str, Any]]:
    root = data_root() / "icdar2015"
    return load_icdar2015(
        root / "ch4_training_images",
        root / "ch4_training_localization_transcription_gt",
        _ICDAR2015_SIZE,
        name="icdar2015_train",
    )


def _load_train_part(position: int) -> list[dict[str, Any]]:
    return split_holdout(_load_train())[position]


def _load_few(count: int) -> list[dict[str, Any]]:
    dicts = _load_train_part(0)
    return [dicts[i * len(dicts) // count] for i in range(count)]


def _load_test() -> list[dict[str, Any]]:
    root = data_root() / "icdar2015"
    return load_icdar2015(
        root / "ch4_test_images", root / "Challenge4_Test_Task1_GT", name="icdar2015_test"
    )


def register_benchmarks() -> None:
    """Register every split of :data:`BENCHMARKS`."""
    for dataset, (_, splits, evaluator_type, _) in BENCHMARKS.items():
        for split in splits:
            name = f"{dataset}_{split}"
            register_text_dataset(name, partial(load_logged, read_benchmark, name), evaluator_type)
    # Its server takes polygons in a format that no other benchmark has.
    MetadataCatalog.get("icdar2019_art_test").submission_format = "art"


def register_synthtext_split() -> None:
    """Register the fixed 96/4 split of SynthText, the shares of VLPT-STD's pre-training."""
    for part, position in (("train", 0), ("val", 1)):
        register_text_dataset(
            f"synthtext_trainval_{part}", partial(_load_synthtext_part, position), "icdar2015"
        )


def _load_synthtext_part(position: int) -> Sequence[dict[str, Any]]:
    return split_synthtext(load_logged(read_benchmark, "synthtext_train"))[position]


def read_benchmark(
    name: str, root: str | Path | None = None
) -> tuple[Sequence[dict[str, Any]], ReadReport]:
    """Read a split of :data:`BENCHMARKS` with what was found in it.

    Args:
        name: a registered name, such as "total_text_test".
        root: the folder of all datasets; :func:`~vlpt_d2.utils.environment.data_root` if not given.

    Returns:
        Dataset dicts and the report.
    """
    dataset, _, split = name.rpartition("_")
    folder, _, _, read = BENCHMARKS[dataset]
    return read(Path(root or data_root()) / folder, split, name=name)


register_all_icdar2015()
register_benchmarks()
register_synthtext_split()
