"""Config keys of the oCLIP pre-training."""

from detectron2.config import CfgNode as CN

from ....config import declare_keys


@declare_keys
def add_oclip_keys(cfg: CN) -> None:
    """Add the keys of MODEL.META_ARCHITECTURE "OCLIP".

    Defaults are those of the release, but for what docs/oclip.md lists as different.
    """
    node = cfg.MODEL.OCLIP = CN()
    # The trunk's map that is pooled: "res5" (stride 32), or "res4" (stride 16), which leaves res5
    # untrained.
    node.IN_FEATURE = "res5"
    # Width d of image tokens and word features.
    node.EMBED_DIM = 384
    # Heads of the attention pool; they divide the channels of IN_FEATURE.
    node.POOL_HEADS = 32
    # Rows and columns of the learned positions of the pool and of the decoder (input size over
    # stride); interpolated for other maps.
    node.POSITION_GRID = [16, 16]
    # "global": losses are means over the valid items of all processes and micro-batches;
    # "local": means of each process, as in the release.
    node.NORMALIZATION = "global"

    words = node.WORDS = CN()
    # Words of an image; of more, training takes a random subset and testing the first.
    words.MAX_WORDS = 32
    # Characters of a word, the end-of-word sign included; the rest is cut off.
    words.MAX_CHARACTERS = 25
    # Probability that a character beside the masked one is hidden too (release: 0). Of a few words
    # the rest of the spelling tells any character, and nothing is left to look for in the image.
    words.HIDDEN_SHARE = 0.0
    # Width, blocks, heads and MLP ratio of the transformer over a word's characters.
    words.WIDTH = 64
    words.DEPTH = 6
    words.NUM_HEADS = 8
    words.MLP_RATIO = 4.0
    # Whether a character sees those before it alone; the end of the word sees all either way.
    words.CAUSAL = True

    decoder = node.DECODER = CN()
    # Cross-attention blocks from words to image tokens, their heads and MLP ratio.
    decoder.DEPTH = 6
    decoder.NUM_HEADS = 8
    decoder.MLP_RATIO = 4.0
    # Weight of the prediction of masked characters.
    decoder.WEIGHT = 1.0

    itc = node.ITC = CN()
    # Weight of the image-text contrast (both directions averaged).
    itc.WEIGHT = 1.0
    # Gradient through the features gathered from other processes too; without, every process
    # keeps that of its own features in the loss of all (the release).
    itc.GATHER_GRADIENT = True
    # Images with the same words are positives of each other; else negatives (the release).
    itc.MATCH_EQUAL_CAPTIONS = True
    # Initial temperature, and the largest logit scale (1 / temperature) it may reach.
    itc.TEMPERATURE = 0.07
    itc.MAX_LOGIT_SCALE = 100.0
