"""Config keys of TextDragon."""

from detectron2.config import CfgNode as CN

from ....config import declare_keys


@declare_keys
def add_textdragon_keys(cfg: CN) -> None:
    """Add MODEL.TEXTDRAGON."""
    # The detector TextDragon ([textdragon.md](textdragon.md)).
    node = cfg.MODEL.TEXTDRAGON = CN()
    # Read the words, too: they are learnt next to the boxes and returned as pred_texts.
    node.READ = False

    # Cells with a centre line probability above this value give a local box.
    node.CENTRE_THRESH = 0.5
    # Detections with a mean centre line probability below this value are dropped.
    node.SCORE_THRESH = 0.7
