"""Checks of the files the package ships and of the datasets the user has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .finding import Finding

__all__ = ["DATASET_FOLDERS", "check_datasets", "check_package_data"]

# Dataset -> folders under DETECTRON2_DATASETS.
DATASET_FOLDERS = {
    "ICDAR2015": (
        "icdar2015/ch4_training_images",
        "icdar2015/ch4_training_localization_transcription_gt",
        "icdar2015/ch4_test_images",
        "icdar2015/Challenge4_Test_Task1_GT",
    ),
}
# Other datasets -> their folder; told of where it is there.
OTHER_DATASETS = {
    "ICDAR2013": "icdar2013",
    "ICDAR2017-MLT": "icdar2017_mlt",
    "ICDAR2019-MLT": "icdar2019_mlt",
    "ICDAR2019-ArT": "icdar2019_art",
    "LSVT": "lsvt",
    "MSRA-TD500": "msra_td500",
    "HUST-TR400": "hust_tr400",
    "USTB-SV1K": "ustb_sv1k",
    "Total-Text": "total_text",
    "SCUT-CTW1500": "ctw1500",
    "TextOCR": "textocr",
    "COCO-Text": "coco_text",
}
_PACKAGE = Path(__file__).resolve().parents[2]


def check_package_data() -> Iterator[Finding]:
    """Configs, vocabulary and weights came with the installation."""
    from vlpt_d2 import model_zoo

    configs = model_zoo.list_configs()
    vocabulary = _PACKAGE / "data" / "text" / "assets" / "bert_base_uncased_vocab.txt"
    reinstall = "the installation is incomplete: pip install --force-reinstall --no-deps vlpt-d2"
    if not configs:
        yield Finding.fault("configs", f"none in {model_zoo.config_root()}", reinstall)
    else:
        yield Finding.ok("configs", f"{len(configs)} in {model_zoo.config_root()}")
    if not vocabulary.is_file():
        yield Finding.fault("vocabulary", f"{vocabulary} is missing", reinstall)
    else:
        yield Finding.ok("vocabulary", str(vocabulary))
    models = [name for name in model_zoo.list_models() if model_zoo.get(name).is_shipped]
    try:
        for name in models:
            model_zoo.get_checkpoint(name)
    except (OSError, ValueError) as error:
        yield Finding.fault("weights", str(error), reinstall)
    else:
        yield Finding.ok("weights", f"of {', '.join(models)}")


def check_datasets() -> Iterator[Finding]:
    """The folders of the known datasets; none is needed for rendered text."""
    named = os.environ.get("DETECTRON2_DATASETS")
    root = Path(named or "datasets").expanduser().absolute()
    if named and not root.is_dir():
        yield Finding.fault(
            "datasets",
            f"DETECTRON2_DATASETS names {named}, which is no folder",
            "create it, or correct the variable; unset, rendered text alone can be trained on",
        )
        return
    if not named:
        yield Finding.note(
            "datasets",
            f"DETECTRON2_DATASETS is not set; looking in {root}",
            "export DETECTRON2_DATASETS=/folder/of/your/datasets",
        )
    for name, folders in DATASET_FOLDERS.items():
        missing = [folder for folder in folders if not _has_files(root / folder)]
        if not missing:
            yield Finding.ok(name, f"complete in {root}")
        elif len(missing) == len(folders):
            text = f"not in {root}; rendered text needs no data"
            yield Finding.note(name, text, "datasets/README.md says where to get it")
        else:
            yield Finding.note(
                name,
                f"incomplete in {root}",
                "missing or empty: " + ", ".join(missing),
            )
    for name, folder in OTHER_DATASETS.items():
        if (root / folder).is_dir():
            yield Finding.ok(name, f"in {root / folder}; vlpt-d2 data check looks into it")
    if (root / "synthtext").is_dir():
        yield _check_synthtext(root / "synthtext")


def _check_synthtext(root: Path) -> Finding:
    if (root / "index" / "meta.json").is_file():
        return Finding.ok("SynthText", f"indexed in {root}")
    remedy = f"python datasets/prepare_synthtext.py {root}"
    return Finding.note("SynthText", f"in {root}, not indexed yet", remedy)


def _has_files(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entry.is_file() for entry in entries)
    except OSError:
        return False
