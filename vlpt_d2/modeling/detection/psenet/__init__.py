"""PSENet: shape robust text detection with progressive scale expansion (Wang et al., CVPR 2019)."""

from typing import TYPE_CHECKING

from ....utils.lazy import lazy_names
from .decode import decode_kernel_maps
from .expansion import expand_kernels

if TYPE_CHECKING:
    from .head import PSENetHead
    from .labels import draw_psenet_labels, kernel_scales

__all__ = [
    "PSENetHead",
    "decode_kernel_maps",
    "draw_psenet_labels",
    "expand_kernels",
    "kernel_scales",
]

# The head needs torch, which decoding does without.
__getattr__ = lazy_names(
    __name__, {"PSENetHead": "head", "draw_psenet_labels": "labels", "kernel_scales": "labels"}
)
