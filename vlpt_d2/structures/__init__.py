"""Data structures that detectron2 lacks, and the geometry of polygons."""

from typing import TYPE_CHECKING

from ..utils.lazy import lazy_names
from .dont_care import DONT_CARE, is_dont_care
from .quadrilateral import quadrilateral
from .repair import repair_polygon
from .text_instances import TextInstances

if TYPE_CHECKING:
    from .polygons import Polygons

__all__ = [
    "DONT_CARE",
    "Polygons",
    "TextInstances",
    "is_dont_care",
    "quadrilateral",
    "repair_polygon",
]

# Needs torch, which the geometry does without.
__getattr__ = lazy_names(__name__, {"Polygons": "polygons"})
