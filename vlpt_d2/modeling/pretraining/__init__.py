"""The pre-training: encoders, pretext tasks and the VLPT meta-architecture."""

from .itc import ITC
from .mlm import MLM
from .task import PRETEXT_TASK_REGISTRY, PretextTask
from .text_encoder import TEXT_ENCODER_REGISTRY, build_text_encoder
from .vlpt import VLPT
from .wip import WIP

__all__ = [
    "ITC",
    "MLM",
    "PRETEXT_TASK_REGISTRY",
    "TEXT_ENCODER_REGISTRY",
    "VLPT",
    "WIP",
    "PretextTask",
    "build_text_encoder",
]
