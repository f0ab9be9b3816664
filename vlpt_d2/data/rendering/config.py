"""Config keys of rendered datasets of one's own."""

from dataclasses import fields

from detectron2.config import CfgNode as CN

from ...config import declare_keys
from .settings import RenderSettings


@declare_keys
def add_rendering_keys(cfg: CN) -> None:
    """Add DATASETS.RENDERED."""
    # Rendered text as datasets under a name of your own.
    node = cfg.DATASETS.RENDERED = CN()
    # Registers the datasets <NAME>_train and <NAME>_val as the keys below say; "": neither.
    node.NAME = ""
    # What the settings start from: "default", "quickstart" or "quickstart_detection".
    node.PRESET = "default"
    # Seed of the corpus: another seed, other images.
    node.SEED = 0
    # Images of <NAME>_train.
    node.TRAIN_SIZE = 100000
    # Images of <NAME>_val; the two never share an image.
    node.VAL_SIZE = 1000
    # Every field of vlpt_d2.data.rendering.RenderSettings; None keeps the preset's value.
    node.SETTINGS = CN({field.name.upper(): None for field in fields(RenderSettings)})
