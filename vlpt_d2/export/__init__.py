"""Networks as ONNX or TorchScript files, and using such files."""

from .network import ExportError, ExportNetwork
from .runtime import ExportedDetector, load_exported
from .write import FORMATS, export_detector

__all__ = [
    "FORMATS",
    "ExportError",
    "ExportNetwork",
    "ExportedDetector",
    "export_detector",
    "load_exported",
]
