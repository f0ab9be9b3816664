"""Registered backbones: the shared ResNet trunk, image encoders of pre-training."""

from . import config
from .attention_pool import OCLIPImageEncoder, build_oclip_image_encoder
from .deformable import DeformConv2d
from .fusion import FUSION_REGISTRY
from .image_encoder import VLPTImageEncoder, build_vlpt_image_encoder
from .trunk import ResNetTrunk, build_resnet_trunk

__all__ = [
    "FUSION_REGISTRY",
    "DeformConv2d",
    "OCLIPImageEncoder",
    "ResNetTrunk",
    "VLPTImageEncoder",
    "build_oclip_image_encoder",
    "build_resnet_trunk",
    "build_vlpt_image_encoder",
]
