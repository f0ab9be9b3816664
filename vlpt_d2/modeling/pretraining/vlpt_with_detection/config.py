"""Config keys of VLPT with a detector's loss."""

from detectron2.config import CfgNode as CN

from ....config import declare_keys


@declare_keys
def add_vlpt_with_detection_keys(cfg: CN) -> None:
    """Add the keys of MODEL.META_ARCHITECTURE "VLPTWithDetection"; the head is MODEL.TEXT_HEAD."""
    # VLPT with a detector's loss on the boxes.
    node = cfg.MODEL.REGIONS = CN()
    # Weight of all losses of the text head; those of VLPT have weights in MODEL.VLPT.
    node.WEIGHT = 1.0
