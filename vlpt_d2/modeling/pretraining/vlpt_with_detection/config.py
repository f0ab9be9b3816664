"""Config keys of VLPT with a detector's loss beside it."""

from detectron2.config import CfgNode as CN

from ....config import declare_keys


@declare_keys
def add_vlpt_with_detection_keys(cfg: CN) -> None:
    """Add the keys of MODEL.META_ARCHITECTURE "VLPTWithDetection"; the head is MODEL.TEXT_HEAD."""
    node = cfg.MODEL.REGIONS = CN()
    # Factor on all losses of the text head, beside those of MODEL.VLPT.
    node.WEIGHT = 1.0
