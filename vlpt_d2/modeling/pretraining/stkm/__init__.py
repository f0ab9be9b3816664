"""STKM: an image's words read as one sequence of characters (Wan et al., CVPR 2021)."""

from . import config, mapper
from .decoder import CharacterDecoder
from .image_encoder import STKMImageEncoder, build_stkm_image_encoder
from .model import STKM

__all__ = ["STKM", "CharacterDecoder", "STKMImageEncoder", "build_stkm_image_encoder"]
