"""EAST: a score and a rectangle from every cell of a text."""

from . import config
from .decode import decode_east_maps
from .head import EASTHead
from .labels import draw_east_labels

__all__ = ["EASTHead", "decode_east_maps", "draw_east_labels"]
