"""Config keys of CRAFT."""

from detectron2.config import CfgNode as CN

from ....config import declare_keys


@declare_keys
def add_craft_keys(cfg: CN) -> None:
    """Add MODEL.CRAFT."""
    # The detector CRAFT ([craft.md](craft.md)).
    node = cfg.MODEL.CRAFT = CN()
    # Pixels with a region score above this value belong to a text ...
    node.LOW_TEXT = 0.5
    # ... and so do those with an affinity score above this one, which join its characters.
    node.LINK_THRESH = 0.4
    # Texts without a region score of at least this value are dropped.
    node.TEXT_THRESH = 0.7
