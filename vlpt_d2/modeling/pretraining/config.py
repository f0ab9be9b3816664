"""Config keys that all pre-trainings share. Each has more in its own folder."""

from detectron2.config import CfgNode as CN

from ...config import declare_keys


@declare_keys
def add_pretraining_keys(cfg: CN) -> None:
    """Add INPUT.PRETRAIN."""
    # The images of all pre-trainings.
    node = cfg.INPUT.PRETRAIN = CN()
    # (height, width) of every image; the aspect ratio is not kept.
    node.SIZE = (512, 512)
    # Training images are rotated by an angle drawn from +- this many degrees.
    node.ROTATION = 20.0
