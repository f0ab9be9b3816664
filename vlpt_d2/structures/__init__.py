"""Data structures that detectron2 lacks."""

from .polygons import Polygons
from .quadrilateral import quadrilateral
from .repair import repair_polygon

__all__ = ["Polygons", "quadrilateral", "repair_polygon"]
