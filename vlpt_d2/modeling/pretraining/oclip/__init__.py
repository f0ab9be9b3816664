"""oCLIP (Xue et al., ECCV 2022): words read character by character with their image."""

from . import config, mapper
from .model import OCLIP

__all__ = ["OCLIP"]
