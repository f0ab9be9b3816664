"""Config keys of PSENet."""

from detectron2.config import CfgNode as CN

from ....config import declare_keys


@declare_keys
def add_psenet_keys(cfg: CN) -> None:
    """Add MODEL.PSENET."""
    node = cfg.MODEL.PSENET = CN()
    # Channels of the laterals and of the head; the levels are concatenated to as many times this.
    node.NECK_CHANNELS = 256
    # Number of kernels of a text, the whole text (the first one) included.
    node.KERNELS = 7
    # Scale m of the smallest kernel: 0.4 for words, 0.7 for curved lines. Kernel i of n has the
    # scale r_i = 1 - (1 - m) i / (n - 1).
    node.MIN_SCALE = 0.4
    # Kernels are the texts shrunk by area * (1 - r_i^2) / perimeter, but never by more than this
    # many (network) pixels.
    node.MAX_SHRINK = 20.0
    # Whether that offset is rounded to whole pixels, as the reference does, or left exact.
    node.ROUND_SHRINK = False

    # Weights of the dice loss on the texts and of the mean dice loss on their smaller kernels.
    node.TEXT_WEIGHT = 0.7
    node.KERNEL_WEIGHT = 0.3
    # Hard negatives kept for each positive pixel of an image in the loss on the texts.
    node.NEGATIVE_RATIO = 3.0
    # Pixels the loss on the kernels looks at: "target" (those of the texts, as the reference's
    # python3 branch) or "prediction" (those predicted as text, as the paper).
    node.KERNEL_MASK = "target"

    # Stride in input pixels of the maps that are decoded: 4, as the network gives them, or 2 or 1,
    # upsampled: closer outlines, slower. The reference decodes at 1.
    node.DECODE_STRIDE = 2
    # Pixels of a map above this probability belong to its kernels.
    node.KERNEL_THRESH = 0.5
    # Detections with a mean text probability below this value are dropped.
    node.SCORE_THRESH = 0.85
    # Texts whose smallest kernel, or which themselves, have an area below this many input pixels
    # are dropped (the reference's values).
    node.MIN_KERNEL_AREA = 16.0
    node.MIN_AREA = 16.0
    # Texts of one image that are outlined, largest first.
    node.MAX_CANDIDATES = 1000
    # Tolerance of the contour simplification in "polygon" mode, in pixels of the map; 0: none.
    node.POLYGON_EPSILON = 0.5
