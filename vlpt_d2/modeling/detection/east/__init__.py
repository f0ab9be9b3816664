"""EAST: a score and a rectangle from every cell of a text."""

from typing import TYPE_CHECKING

from ....utils.lazy import lazy_names
from .decode import decode_east_maps

if TYPE_CHECKING:
    from .head import EASTHead
    from .labels import draw_east_labels

__all__ = ["EASTHead", "decode_east_maps", "draw_east_labels"]

# The head needs torch, which decoding does without.
__getattr__ = lazy_names(__name__, {"EASTHead": "head", "draw_east_labels": "labels"})
