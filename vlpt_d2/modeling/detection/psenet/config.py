"""Config keys of PSENet."""

from detectron2.config import CfgNode as CN

from ....config import declare_keys


@declare_keys
def add_psenet_keys(cfg: CN) -> None:
    """Add MODEL.PSENET."""
    # The detector PSENet ([psenet.md](psenet.md)).
    node = cfg.MODEL.PSENET = CN()
    # Channels of the laterals and of the head; the levels are concatenated to as many times this.
    node.NECK_CHANNELS = 256
    # Number of kernels of a text, the whole text (the first one) included.
    node.KERNELS = 7
    # Scale m of the smallest kernel: 0.4 for words, 0.7 for curved lines. Kernel i of n has the
    # scale r_i = 1 - (1 - m) i / (n - 1).
    node.MIN_SCALE = 0.4

    # Stride in input pixels of the maps that are decoded: 4, as the network gives them, or 2 or 1,
    # upsampled: closer outlines, slower. The reference decodes at 1.
    node.DECODE_STRIDE = 2
    # Pixels of a map above this probability belong to its kernels.
    node.KERNEL_THRESH = 0.5
    # Detections with a mean text probability below this value are dropped.
    node.SCORE_THRESH = 0.85
