"""Config keys of the backbones that detectron2 lacks."""

from detectron2.config import CfgNode as CN

from ...config import declare_keys


@declare_keys
def add_backbone_keys(cfg: CN) -> None:
    """Add MODEL.RESNETS.VARIANT."""
    # "plain": detectron2's ResNet, which is torchvision's (STRIDE_IN_1X1 False); "clip": that of
    # CLIP and oCLIP, with a stem of three convolutions and average pools for strides; "lcnet":
    # PP-LCNetV4, the small backbone of PP-OCRv6 (DEPTH 13).
    cfg.MODEL.RESNETS.VARIANT = "plain"
