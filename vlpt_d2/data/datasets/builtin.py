"""The datasets of this package."""

from __future__ import annotations

from . import (
    ctw1500,
    icdar2013,
    icdar2015,
    icdar_mlt,
    msra_td500,
    rrc_json,
    synthtext,
    textocr,
    total_text,
    ustb_sv1k,
)
from .dataset import DATASETS

__all__ = ["BUILTIN", "DATASETS"]

BUILTIN = (
    icdar2015.DATASET,
    icdar2013.DATASET,
    *icdar_mlt.DATASETS,
    *rrc_json.DATASETS,
    *msra_td500.DATASETS,
    ustb_sv1k.DATASET,
    total_text.DATASET,
    ctw1500.DATASET,
    *textocr.DATASETS,
    synthtext.DATASET,
)
DATASETS.update({dataset.name: dataset for dataset in BUILTIN})
