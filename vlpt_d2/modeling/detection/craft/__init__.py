"""CRAFT: character regions and the affinity between them (Baek et al., CVPR 2019)."""

from typing import TYPE_CHECKING

from ....utils.lazy import lazy_names
from .decode import decode_craft_maps

if TYPE_CHECKING:
    from .head import CRAFTHead
    from .labels import draw_craft_labels

__all__ = ["CRAFTHead", "decode_craft_maps", "draw_craft_labels"]

# The head needs torch, which decoding does without.
__getattr__ = lazy_names(__name__, {"CRAFTHead": "head", "draw_craft_labels": "labels"})
