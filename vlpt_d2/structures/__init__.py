"""Data structures that detectron2 lacks."""

from .polygons import Polygons
from .repair import repair_polygon

__all__ = ["Polygons", "repair_polygon"]
