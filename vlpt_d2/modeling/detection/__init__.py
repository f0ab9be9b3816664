"""The ROI-free text detectors: one meta-architecture, one folder per head."""

from typing import TYPE_CHECKING

from ...utils.lazy import lazy_names
from .decoded import DecodedTexts

if TYPE_CHECKING:
    from .text_detector import TextDetector, stack_targets
    from .text_head import TEXT_HEADS_REGISTRY, TextHead, build_label_function, build_text_head

__all__ = [
    "TEXT_HEADS_REGISTRY",
    "DecodedTexts",
    "TextDetector",
    "TextHead",
    "build_label_function",
    "build_text_head",
    "stack_targets",
]

# The networks need torch, which decoding does without.
__getattr__ = lazy_names(
    __name__,
    {
        "TEXT_HEADS_REGISTRY": "text_head",
        "TextDetector": "text_detector",
        "TextHead": "text_head",
        "build_label_function": "text_head",
        "build_text_head": "text_head",
        "stack_targets": "text_detector",
    },
)
