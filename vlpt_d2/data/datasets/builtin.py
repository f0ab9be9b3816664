"""Registration of every dataset the plugin knows, by name.

Nothing is read here: a dataset is looked for under ``$DETECTRON2_DATASETS`` (default: the folder
``datasets``) when it is first used.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from .icdar2015 import load_icdar2015, split_holdout

__all__ = ["data_root", "register_all_icdar2015", "register_text_dataset"]

# ICDAR2015's images are all of one size, so a squeezed copy is known by its own.
_ICDAR2015_SIZE = (720, 1280)


def data_root() -> Path:
    """The folder of all datasets, as the environment says now."""
    return Path(os.environ.get("DETECTRON2_DATASETS", "datasets")).expanduser()


def register_text_dataset(
    name: str, load: Callable[[], list[dict[str, Any]]], evaluator_type: str
) -> None:
    """Register a dataset of one class, "text"; a name that is registered already is left alone.

    Args:
        name: the name for ``cfg.DATASETS.TRAIN`` and ``TEST``.
        load: returns the dataset dicts; called when the dataset is first used.
        evaluator_type: the protocol that measures it, such as ``"icdar2015"``.
    """
    if name in DatasetCatalog.list():
        return
    DatasetCatalog.register(name, load)
    MetadataCatalog.get(name).set(thing_classes=["text"], evaluator_type=evaluator_type)


def register_all_icdar2015() -> None:
    """Register ICDAR2015's two sets, and the fixed 900/100 split of the training images.

    Checkpoints and thresholds are to be chosen on ``icdar2015_trainval_val``, never on the test
    images.
    """
    register_text_dataset("icdar2015_train", _load_train, "icdar2015")
    register_text_dataset("icdar2015_test", _load_test, "icdar2015")
    for part, position in (("train", 0), ("val", 1)):
        register_text_dataset(
            f"icdar2015_trainval_{part}", lambda i=position: _load_train_part(i), "icdar2015"
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


def _load_test() -> list[dict[str, Any]]:
    root = data_root() / "icdar2015"
    return load_icdar2015(
        root / "ch4_test_images", root / "Challenge4_Test_Task1_GT", name="icdar2015_test"
    )


register_all_icdar2015()
