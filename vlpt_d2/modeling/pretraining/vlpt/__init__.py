"""VLPT-STD: contrast, word-in-image prediction and masked language modelling (CVPR 2022)."""

from . import config, mapper
from .itc import ITC
from .mlm import MLM
from .model import VLPT
from .text_encoder import TEXT_ENCODER_REGISTRY, build_text_encoder
from .wip import WIP

__all__ = ["ITC", "MLM", "TEXT_ENCODER_REGISTRY", "VLPT", "WIP", "build_text_encoder"]
