"""SAE: learning shape-aware embedding for scene text detection (Tian et al., CVPR 2019)."""

from typing import TYPE_CHECKING

from ....utils.lazy import lazy_names
from .decode import assign_pixels, decode_sae_maps

if TYPE_CHECKING:
    from .head import SAEHead
    from .labels import draw_sae_labels

__all__ = ["SAEHead", "assign_pixels", "decode_sae_maps", "draw_sae_labels"]

# The head needs torch, which decoding does without.
__getattr__ = lazy_names(__name__, {"SAEHead": "head", "draw_sae_labels": "labels"})
