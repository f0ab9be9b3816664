"""Config keys of TextSnake."""

from detectron2.config import CfgNode as CN

from ....config import declare_keys


@declare_keys
def add_textsnake_keys(cfg: CN) -> None:
    """Add MODEL.TEXTSNAKE."""
    # The detector TextSnake ([textsnake.md](textsnake.md)).
    node = cfg.MODEL.TEXTSNAKE = CN()
    # Pixels of texts with a centre line probability above this value are of a centre line.
    node.CENTRE_THRESH = 0.6
    # Detections with a mean text probability below this value are dropped.
    node.SCORE_THRESH = 0.5
