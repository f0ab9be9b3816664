"""Necks: from the maps of a trunk to the one map a text head reads."""

from .db import DBNeck

__all__ = ["DBNeck"]
