"""Config keys of the backbones that detectron2 lacks, and of the image encoder of VLPT."""

from detectron2.config import CfgNode as CN

from ...config import declare_keys


@declare_keys
def add_backbone_keys(cfg: CN) -> None:
    """Add MODEL.RESNETS.VARIANT and MODEL.IMAGE_ENCODER."""
    # "plain": detectron2's ResNet, which is torchvision's (STRIDE_IN_1X1 False); "clip": that of
    # CLIP and oCLIP, with a stem of three convolutions and average pools for strides; "lcnet":
    # PP-LCNetV4, the small backbone of PP-OCRv6 (DEPTH 13).
    cfg.MODEL.RESNETS.VARIANT = "plain"

    # VLPT's image encoder: how the trunk's levels are fused, and the attention pooling after it.
    node = cfg.MODEL.IMAGE_ENCODER = CN()
    # "ConcatFusion": every FPN level resized to stride 8 and concatenated (the paper);
    # "PlainFPN": the level at stride 16 of a plain FPN with 3x3 smoothing (the ablation).
    node.FUSION = "ConcatFusion"
    # Channels of every FPN level.
    node.FPN_CHANNELS = 256
    # Width d of the visual and the text tokens. A pre-trained text encoder of another width is
    # projected to it.
    node.EMBED_DIM = 384
    # Attention heads of each block, here and in the text and cross-modal encoders.
    node.NUM_HEADS = 6
    # Dropout after embeddings, attention projections and MLP layers, there too.
    node.DROPOUT = 0.1
    # Rows and columns of the learned position table (input size / 16); interpolated elsewhere.
    node.POSITION_GRID = [32, 32]
    # Recompute the trunk's stages and the blocks in the backward pass to save memory.
    node.CHECKPOINTING = False
