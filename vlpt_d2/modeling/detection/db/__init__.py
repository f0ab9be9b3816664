"""DB: real-time scene text detection with differentiable binarisation (Liao et al., AAAI 2020)."""

from . import config, large_kernel_neck
from .decode import decode_probability_map
from .head import DBHead
from .labels import draw_db_labels

__all__ = ["DBHead", "decode_probability_map", "draw_db_labels"]
