"""PSENet: shape robust text detection with progressive scale expansion (Wang et al., CVPR 2019)."""

from . import config
from .decode import decode_kernel_maps
from .expansion import expand_kernels
from .head import PSENetHead
from .labels import draw_psenet_labels, kernel_scales

__all__ = [
    "PSENetHead",
    "decode_kernel_maps",
    "draw_psenet_labels",
    "expand_kernels",
    "kernel_scales",
]
