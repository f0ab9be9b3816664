"""SegLink: segments of texts and the links between them (Shi, Bai and Belongie, CVPR 2017)."""

from typing import TYPE_CHECKING

from ....utils.lazy import lazy_names
from .decode import decode_seglink_maps

if TYPE_CHECKING:
    from .head import SegLinkHead
    from .labels import draw_seglink_labels

__all__ = ["SegLinkHead", "decode_seglink_maps", "draw_seglink_labels"]

# The head needs torch, which decoding does without.
__getattr__ = lazy_names(__name__, {"SegLinkHead": "head", "draw_seglink_labels": "labels"})
