"""oCLIP (Xue et al., ECCV 2022): words read character by character beside their image."""

from .model import OCLIP

__all__ = ["OCLIP"]
