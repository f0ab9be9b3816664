"""Config keys of the oCLIP pre-training."""

from detectron2.config import CfgNode as CN

from ....config import declare_keys


@declare_keys
def add_oclip_keys(cfg: CN) -> None:
    """Add the keys of MODEL.META_ARCHITECTURE "OCLIP".

    Defaults are those of the release, but for what docs/oclip.md lists as different.
    """
    # The pre-training oCLIP.
    node = cfg.MODEL.OCLIP = CN()
    # Width d of image tokens and word features.
    node.EMBED_DIM = 384
    # Heads of the attention pool; they divide the channels of res5.
    node.POOL_HEADS = 32
    # Rows and columns of the learned positions of the pool and of the decoder (input size over
    # stride); interpolated for other maps.
    node.POSITION_GRID = [16, 16]

    words = node.WORDS = CN()
    # Words of an image; of more, training takes a random subset and testing the first.
    words.MAX_WORDS = 32
    # Characters of a word, the end-of-word sign included; the rest is cut off.
    words.MAX_CHARACTERS = 25
    # Probability that each other character of the word is hidden too (release: 0). In a small
    # vocabulary the rest of the spelling determines the masked character without the image.
    words.HIDDEN_SHARE = 0.0
    # Blocks of the transformer over a word's characters.
    words.DEPTH = 6

    decoder = node.DECODER = CN()
    # Cross-attention blocks from words to image tokens.
    decoder.DEPTH = 6
    # Attention heads of each block.
    decoder.NUM_HEADS = 8

    itc = node.ITC = CN()
    # Weight of the image-text contrast (both directions averaged) against the prediction of masked
    # characters.
    itc.WEIGHT = 1.0
