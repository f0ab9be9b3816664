"""Registered backbones: the shared ResNet trunk and the VLPT image encoder."""

from .fusion import FUSION_REGISTRY
from .image_encoder import VLPTImageEncoder, build_vlpt_image_encoder
from .trunk import ResNetTrunk, build_resnet_trunk

__all__ = [
    "FUSION_REGISTRY",
    "ResNetTrunk",
    "VLPTImageEncoder",
    "build_resnet_trunk",
    "build_vlpt_image_encoder",
]
