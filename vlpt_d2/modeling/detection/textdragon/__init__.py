"""TextDragon: texts as series of local boxes along their centre lines (Feng et al., ICCV 2019)."""

from typing import TYPE_CHECKING

from ....utils.lazy import lazy_names
from .decode import decode_dragon_maps

if TYPE_CHECKING:
    from .head import TextDragonHead
    from .labels import draw_dragon_labels

__all__ = ["TextDragonHead", "decode_dragon_maps", "draw_dragon_labels"]

# The head needs torch, which decoding does without.
__getattr__ = lazy_names(__name__, {"TextDragonHead": "head", "draw_dragon_labels": "labels"})
