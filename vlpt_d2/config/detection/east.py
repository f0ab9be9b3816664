"""Config keys of EAST."""

from detectron2.config import CfgNode as CN


def add_east(cfg: CN) -> None:
    """Add MODEL.EAST."""
    cfg.MODEL.EAST = CN()
