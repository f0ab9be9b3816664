"""The ROI-free text detectors: one meta-architecture, one folder per head."""

from . import config, mapper
from .db import DBHead
from .east import EASTHead
from .psenet import PSENetHead
from .text_detector import TextDetector, decode_instances, stack_targets
from .text_head import (
    TEXT_HEADS_REGISTRY,
    DecodedTexts,
    TextHead,
    build_label_function,
    build_text_head,
)

__all__ = [
    "TEXT_HEADS_REGISTRY",
    "DBHead",
    "DecodedTexts",
    "EASTHead",
    "PSENetHead",
    "TextDetector",
    "TextHead",
    "build_label_function",
    "build_text_head",
    "decode_instances",
    "stack_targets",
]
