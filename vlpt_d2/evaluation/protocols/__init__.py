"""Measuring protocols, one file each, as pure functions of arrays of points."""

from . import icdar2015

__all__ = ["icdar2015"]
