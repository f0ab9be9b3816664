"""Config keys of the backbones that detectron2 lacks, or has classes but no config keys for."""

from detectron2.config import CfgNode as CN

from ...config import declare_keys


@declare_keys
def add_backbone_keys(cfg: CN) -> None:
    """Add the keys of ResNets, Swin and ViTDet; defaults are published Swin-T and ViT-B."""
    # "plain": detectron2's ResNet, which is torchvision's (STRIDE_IN_1X1 False); "clip": that of
    # CLIP and oCLIP, with a stem of three convolutions and average pools for strides; "lcnet":
    # PP-LCNetV4, the small backbone of PP-OCRv6 (DEPTH 13).
    cfg.MODEL.RESNETS.VARIANT = "plain"
    _add_swin(cfg)
    _add_vit(cfg)


def _add_swin(cfg: CN) -> None:
    """MODEL.BACKBONE.NAME "build_swin_trunk"; MODEL.BACKBONE.FREEZE_AT counts as for ResNets."""
    node = cfg.MODEL.SWIN = CN()
    # Channels of res2; each later stage doubles them.
    node.EMBED_DIM = 96
    # Blocks, and attention heads of each block, of the four stages.
    node.DEPTHS = (2, 2, 6, 2)
    node.NUM_HEADS = (3, 6, 12, 24)
    # Side of the attention windows, in tokens.
    node.WINDOW_SIZE = 7
    # Hidden width of each block's MLP, as a multiple of its channels.
    node.MLP_RATIO = 4.0
    # Dropout after the embedding and the layers of the MLPs, and of the attention weights.
    node.DROPOUT = 0.0
    node.ATTENTION_DROPOUT = 0.0
    # Probability that the last block is skipped; that of the first is 0, in between it is linear.
    node.DROP_PATH = 0.2
    # Add learned positions, those of an image of PRETRAIN_SIZE pixels, interpolated elsewhere.
    node.ABSOLUTE_POSITION = False
    node.PRETRAIN_SIZE = 224


def _add_vit(cfg: CN) -> None:
    """MODEL.BACKBONE.NAME "build_vitdet_pyramid"; set MODEL.BACKBONE.FREEZE_AT to 0."""
    node = cfg.MODEL.VIT = CN()
    # Width of the tokens, number of blocks, attention heads of each block.
    node.EMBED_DIM = 768
    node.DEPTH = 12
    node.NUM_HEADS = 12
    # Hidden width of each block's MLP, as a multiple of EMBED_DIM.
    node.MLP_RATIO = 4.0
    # Side of the attention windows, in tokens of 16 pixels.
    node.WINDOW_SIZE = 14
    # Blocks, counted from 0, with attention over the whole image instead.
    node.GLOBAL_BLOCKS = (2, 5, 8, 11)
    # Probability that the last block is skipped; that of the first is 0, in between it is linear.
    node.DROP_PATH = 0.1
    # Relative positions in the attention; the global blocks' table is that of an image of
    # IMAGE_SIZE pixels, interpolated for others.
    node.RELATIVE_POSITION = True
    node.IMAGE_SIZE = 1024
    # Side of the images of the pre-training, of which the absolute positions are.
    node.PRETRAIN_SIZE = 224
    # Channels and normalisation ("LN": over channels) of the pyramid p2 to p5.
    node.OUT_CHANNELS = 256
    node.NORM = "LN"
