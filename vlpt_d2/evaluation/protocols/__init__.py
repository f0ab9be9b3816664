"""Evaluation protocols, one file per family, as functions of arrays of points.

Each file holds the rules of a benchmark's script and how its files are read, and registers itself
in :data:`PROTOCOLS`. A package of your own registers one by :func:`register_protocol`.
"""

from . import (
    coco,
    ctw1500,
    icdar2013,
    icdar2015,
    td500,
    tiou,
    total_text_deteval,
    total_text_pascal,
)
from .protocol import PROTOCOLS, Protocol, image_protocols, register_protocol
from .result import ImageResult, Totals, total

__all__ = [
    "PROTOCOLS",
    "ImageResult",
    "Protocol",
    "Totals",
    "image_protocols",
    "register_protocol",
    "total",
]
