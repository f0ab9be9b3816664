"""Config keys of the ROI-free text detectors: those all share, and a node for each head."""

from detectron2.config import CfgNode as CN

from .db import add_db
from .east import add_east
from .psenet import add_psenet


def add_detection_config(cfg: CN) -> None:
    """Add the keys of the detectors: head, label maps, losses and decoding."""
    node = cfg.MODEL.TEXT_HEAD = CN()
    # A registered text head: "DBHead", "PSENetHead" or "EASTHead".
    node.NAME = "DBHead"
    # Maps of the backbone that the head's neck reads, finest first.
    node.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    # Normalisation of neck and head: "BN", "SyncBN", "GN" (32 groups), ...
    node.NORM = "BN"
    # What decoding returns: "box" (minimum-area rectangles) or "polygon" (contours).
    node.OUTPUT = "box"
    add_db(cfg)
    add_psenet(cfg)
    add_east(cfg)
