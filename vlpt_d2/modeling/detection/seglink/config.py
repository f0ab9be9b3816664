"""Config keys of SegLink."""

from detectron2.config import CfgNode as CN

from ....config import declare_keys


@declare_keys
def add_seglink_keys(cfg: CN) -> None:
    """Add MODEL.SEGLINK."""
    # The detector SegLink ([seglink.md](seglink.md)).
    node = cfg.MODEL.SEGLINK = CN()
    # Cells with a text probability above this value give a segment.
    node.SEGMENT_THRESH = 0.9
    # Segments whose link has a probability above this value belong to one text.
    node.LINK_THRESH = 0.7
