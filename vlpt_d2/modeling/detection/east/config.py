"""Config keys of EAST."""

from detectron2.config import CfgNode as CN

from ....config import declare_keys


@declare_keys
def add_east_keys(cfg: CN) -> None:
    """Add MODEL.EAST."""
    # The detector EAST ([east.md](east.md)).
    node = cfg.MODEL.EAST = CN()
    # Channels of the merged maps, coarsest first; one for each of IN_FEATURES but the coarsest.
    node.NECK_CHANNELS = (128, 64, 32)
    # Loss on the score map: "dice" (both public versions), "balanced_bce" (the paper) or
    # "hard_bce" (DB's: all text and three times as many hardest other cells of the batch).
    node.SCORE_LOSS = "dice"

    # Texts whose minimum-area rectangle has a side below this many (network) pixels are ignored.
    node.MIN_TEXT_SIZE = 10.0
    # Angles are within +- 45 degrees (whichever side is nearly level is the top) or +- 90 (the top
    # is along the reading direction).
    node.ANGLE_RANGE = 45
    # The largest distance, in (network) pixels, from a cell to a side of its rectangle.
    node.DISTANCE_SCALE = 512.0

    # Cells with a score above this value give a rectangle.
    node.SCORE_THRESH = 0.8
    # Detections with a mean score up to this value in the core of their rectangle, which labels
    # fill, are dropped.
    node.BOX_THRESH = 0.1
