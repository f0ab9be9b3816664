"""GNNets: EAST's head on eight branches, each for texts of a range of sizes and angles."""

from typing import TYPE_CHECKING

from ....utils.lazy import lazy_names
from .decode import decode_gnnets_maps

if TYPE_CHECKING:
    from .head import GNNetsHead
    from .labels import draw_gnnets_labels

__all__ = ["GNNetsHead", "decode_gnnets_maps", "draw_gnnets_labels"]

# The head needs torch, which decoding does without.
__getattr__ = lazy_names(__name__, {"GNNetsHead": "head", "draw_gnnets_labels": "labels"})
