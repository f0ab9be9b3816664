"""Networks as ONNX or TorchScript files, and using such files."""

from typing import TYPE_CHECKING

from ..utils.lazy import lazy_names
from .detector import Detector, ExportError

if TYPE_CHECKING:
    from .network import ExportNetwork
    from .write import FORMATS, export_detector, load_exported

__all__ = [
    "FORMATS",
    "Detector",
    "ExportError",
    "ExportNetwork",
    "export_detector",
    "load_exported",
]

# Writing needs torch, which detecting does without.
__getattr__ = lazy_names(
    __name__,
    {
        "FORMATS": "write",
        "ExportNetwork": "network",
        "export_detector": "write",
        "load_exported": "write",
    },
)
