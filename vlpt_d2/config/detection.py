"""Config keys of the ROI-free text detectors."""

from detectron2.config import CfgNode as CN


def add_detection_config(cfg: CN) -> None:
    """Add the keys of the detectors, of their training samples and of their decoding."""
    node = cfg.MODEL.TEXT_HEAD = CN()
    # A registered text head: "DBHead".
    node.NAME = "DBHead"
    # Maps of the backbone that the head's neck reads, finest first.
    node.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    # What decoding returns: "box" (minimum-area rectangles) or "polygon" (contours).
    node.OUTPUT = "box"
