"""Data structures that detectron2 lacks."""

from .polygons import Polygons

__all__ = ["Polygons"]
