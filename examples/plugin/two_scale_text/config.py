"""Config keys of the two-scale detector."""

from detectron2.config import CfgNode as CN

from vlpt_d2.config import declare_keys


@declare_keys
def add_two_scale_keys(cfg: CN) -> None:
    """Add MODEL.TWO_SCALE."""
    node = cfg.MODEL.TWO_SCALE = CN()
    # Texts whose short side is at least this many (network) pixels are found on the coarse map.
    node.LARGE_TEXT = 32.0
    # Pixels above this probability are text.
    node.PIXEL_THRESH = 0.5
    # Regions with a lower mean probability are dropped.
    node.SCORE_THRESH = 0.6
