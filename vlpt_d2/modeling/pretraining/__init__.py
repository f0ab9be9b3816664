"""The pre-training: encoders, pretext tasks and the meta-architectures."""

from .itc import ITC
from .mlm import MLM
from .oclip import OCLIP
from .regions import VLPTWithRegions
from .stkm import STKM
from .task import PRETEXT_TASK_REGISTRY, PretextTask
from .text_encoder import TEXT_ENCODER_REGISTRY, build_text_encoder
from .vlpt import VLPT
from .wip import WIP

__all__ = [
    "ITC",
    "MLM",
    "OCLIP",
    "PRETEXT_TASK_REGISTRY",
    "STKM",
    "TEXT_ENCODER_REGISTRY",
    "VLPT",
    "WIP",
    "PretextTask",
    "VLPTWithRegions",
    "build_text_encoder",
]
