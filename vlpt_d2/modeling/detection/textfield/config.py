"""Config keys of TextField."""

from detectron2.config import CfgNode as CN

from ....config import declare_keys


@declare_keys
def add_textfield_keys(cfg: CN) -> None:
    """Add MODEL.TEXTFIELD."""
    # The detector TextField ([textfield.md](textfield.md)).
    node = cfg.MODEL.TEXTFIELD = CN()
    # Channels of each level of the neck; the head's hidden layers have twice as many.
    node.NECK_CHANNELS = 256
    # Pixels with a direction longer than this are text; in [0, 1].
    node.MAGNITUDE_THRESH = 0.5
    # Detections with a mean length of the directions below this value are dropped.
    node.SCORE_THRESH = 0.0
