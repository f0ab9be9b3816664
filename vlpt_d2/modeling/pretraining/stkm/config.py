"""Config keys of STKM."""

from detectron2.config import CfgNode as CN

from ....config import declare_keys


@declare_keys
def add_stkm_keys(cfg: CN) -> None:
    """Add MODEL.STKM; defaults are those of the paper, or of its release where they differ."""
    # The pre-training STKM.
    node = cfg.MODEL.STKM = CN()
    # Channels of every FPN level.
    node.FPN_CHANNELS = 256
    # Normalisation of the FPN, the fusion and the position module: "BN", "SyncBN", ...
    node.NORM = "SyncBN"
    # "pooled": levels joined at stride 4, 3x3 convolution, 2x2 max-pooling (the release);
    # "p3": levels joined at stride 8, 1x1 convolution (the paper).
    node.FUSION = "pooled"
    # Width of the visual tokens and of the decoder; even.
    node.EMBED_DIM = 512
    # Longest sequence, in characters and flags; also the rows of the position table.
    node.MAX_LENGTH = 400

    decoder = node.DECODER = CN()
    # Layers: 4 in the paper, 1 in the release.
    decoder.DEPTH = 4
    # Attention heads of each layer, of 32 channels each.
    decoder.NUM_HEADS = 8
    # Hidden width of each layer's feed-forward network.
    decoder.FFN_DIM = 1024
    # Dropout of what each attention and each feed-forward network adds.
    decoder.DROPOUT = 0.1
