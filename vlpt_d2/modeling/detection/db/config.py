"""Config keys of DB."""

from detectron2.config import CfgNode as CN

from ....config import declare_keys


@declare_keys
def add_db_keys(cfg: CN) -> None:
    """Add MODEL.DB."""
    # The detector DB ([db.md](db.md)).
    node = cfg.MODEL.DB = CN()
    # A registered neck: "DBNeck", or "LargeKernelNeck" (PP-OCRv6).
    node.NECK = "DBNeck"
    # Channels of the laterals; each level is smoothed to a quarter of it before concatenation.
    node.NECK_CHANNELS = 256
    # How the neck's levels are joined: "none": concatenated; "adaptive": each pixel of each level
    # weighted first (DB++).
    node.SCALE_FUSION = "none"
    # Texts whose axis-aligned box has a side below this many (network) pixels are ignored.
    node.MIN_TEXT_SIZE = 8.0

    # Pixels of the probability map above this value are text.
    node.BINARY_THRESH = 0.3
    # Detections with a mean probability below this value are dropped.
    node.BOX_THRESH = 0.6
    # How detections grow back: "published", by area * ratio / perimeter, which leaves long texts
    # too small; or "exact", the inverse of the labels' shrinking.
    node.UNCLIP = "published"
    # The ratio of "published" in "box" mode.
    node.UNCLIP_RATIO_BOX = 1.5
    # The ratio of "published" in "polygon" mode.
    node.UNCLIP_RATIO_POLYGON = 2.0
    # Regions whose minimum-area rectangle has a side below this (network) pixels are dropped, and
    # once more after growing, below this + 2.
    node.MIN_SIZE = 3.0
