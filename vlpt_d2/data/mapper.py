"""The mappers: from a dataset dict to a sample of the model."""

from collections.abc import Callable

from detectron2.config import CfgNode
from detectron2.utils.registry import Registry

MAPPER_REGISTRY = Registry("MAPPER")
MAPPER_REGISTRY.__doc__ = """
Registry for mappers: classes built with ``(cfg, is_train)`` whose instances turn a dataset dict
into a sample. INPUT.DATASET_MAPPER_NAME holds the name of a class, or for those of this package its
beginning: "detection" finds ``DetectionMapper``. If a class sets ``needs_words``, training on
images without a single word is refused.
"""


def build_mapper(cfg: CfgNode, is_train: bool) -> Callable[[dict], dict]:
    """Build the mapper named by ``cfg.INPUT.DATASET_MAPPER_NAME``."""
    name = cfg.INPUT.DATASET_MAPPER_NAME
    if name not in MAPPER_REGISTRY and f"{name.capitalize()}Mapper" in MAPPER_REGISTRY:
        name = f"{name.capitalize()}Mapper"
    return MAPPER_REGISTRY.get(name)(cfg, is_train)
