"""The pre-training: what all methods share, and one folder for each."""

from . import config
from .oclip import OCLIP
from .stkm import STKM
from .task import PRETEXT_TASK_REGISTRY, PretextTask
from .vlpt import ITC, MLM, TEXT_ENCODER_REGISTRY, VLPT, WIP, build_text_encoder
from .vlpt_with_detection import VLPTWithDetection

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
    "VLPTWithDetection",
    "build_text_encoder",
]
