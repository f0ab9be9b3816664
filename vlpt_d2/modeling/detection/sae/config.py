"""Config keys of SAE."""

from detectron2.config import CfgNode as CN

from ....config import declare_keys


@declare_keys
def add_sae_keys(cfg: CN) -> None:
    """Add MODEL.SAE."""
    # The detector SAE ([sae.md](sae.md)).
    node = cfg.MODEL.SAE = CN()
    # Channels of each level of the two branches of the neck, and of the two hidden layers.
    node.NECK_CHANNELS = 128
    # Pixels of the map of texts, and of the map of their centres, above this value belong to them.
    node.TEXT_THRESH = 0.5
    # Detections with a mean text probability below this value are dropped.
    node.SCORE_THRESH = 0.0
