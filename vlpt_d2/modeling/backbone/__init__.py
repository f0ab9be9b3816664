"""Registered backbones: the shared ResNet trunk, Swin, ViTDet, image encoders of pre-training."""

from . import config
from .attention_pool import OCLIPImageEncoder, build_oclip_image_encoder
from .deformable import DeformConv2d
from .fusion import FUSION_REGISTRY
from .image_encoder import VLPTImageEncoder, build_vlpt_image_encoder
from .swin import SwinTrunk, build_swin_trunk
from .trunk import ResNetTrunk, build_resnet_trunk
from .vitdet import ViTDetPyramid, build_vitdet_pyramid

__all__ = [
    "FUSION_REGISTRY",
    "DeformConv2d",
    "OCLIPImageEncoder",
    "ResNetTrunk",
    "SwinTrunk",
    "VLPTImageEncoder",
    "ViTDetPyramid",
    "build_oclip_image_encoder",
    "build_resnet_trunk",
    "build_swin_trunk",
    "build_vitdet_pyramid",
    "build_vlpt_image_encoder",
]
