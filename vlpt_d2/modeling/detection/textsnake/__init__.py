"""TextSnake: text of arbitrary shape as disks along its centre line (Long et al., ECCV 2018)."""

from typing import TYPE_CHECKING

from ....utils.lazy import lazy_names
from .decode import decode_snake_maps

if TYPE_CHECKING:
    from .head import TextSnakeHead
    from .labels import draw_snake_labels

__all__ = ["TextSnakeHead", "decode_snake_maps", "draw_snake_labels"]

# The head needs torch, which decoding does without.
__getattr__ = lazy_names(__name__, {"TextSnakeHead": "head", "draw_snake_labels": "labels"})
