"""DB: real-time scene text detection with differentiable binarisation (Liao et al., AAAI 2020)."""

from typing import TYPE_CHECKING

from ....utils.lazy import lazy_names
from .decode import decode_probability_map

if TYPE_CHECKING:
    from .head import DBHead
    from .labels import draw_db_labels

__all__ = ["DBHead", "decode_probability_map", "draw_db_labels"]

# The head needs torch, which decoding does without.
__getattr__ = lazy_names(__name__, {"DBHead": "head", "draw_db_labels": "labels"})
