"""The mappers: from a dataset dict to a sample of the model."""

from collections.abc import Callable

from detectron2.config import CfgNode
from detectron2.utils.registry import Registry

MAPPER_REGISTRY = Registry("MAPPER")
MAPPER_REGISTRY.__doc__ = """
Registry for mappers: classes built with ``(cfg, is_train)`` whose instances turn a dataset dict
into a sample. "detection" in INPUT.DATASET_MAPPER_NAME finds ``DetectionMapper``, and so on.
"""


def build_mapper(cfg: CfgNode, is_train: bool) -> Callable[[dict], dict]:
    """Build the mapper named by ``cfg.INPUT.DATASET_MAPPER_NAME``."""
    name = f"{cfg.INPUT.DATASET_MAPPER_NAME.capitalize()}Mapper"
    return MAPPER_REGISTRY.get(name)(cfg, is_train)
