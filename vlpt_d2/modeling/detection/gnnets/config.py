"""Config keys of GNNets, next to those of EAST, whose head it has."""

from detectron2.config import CfgNode as CN

from ....config import declare_keys


@declare_keys
def add_gnnets_keys(cfg: CN) -> None:
    """Add MODEL.GNNETS."""
    # The detector GNNets ([gnnets.md](gnnets.md)).
    node = cfg.MODEL.GNNETS = CN()
    # Short side, in (network) pixels, up to which texts are found at full size, and from which on
    # at half size; those within a factor of 1.2 at both.
    node.SPLIT_SIZE = 40.0
