"""Datasets that a config describes, registered."""

from __future__ import annotations

from detectron2.config import CfgNode

from ..shards import register_shards_from_config
from .rendered import register_rendered_from_config

__all__ = ["register_from_config"]


def register_from_config(cfg: CfgNode) -> None:
    """Register what ``cfg.DATASETS.RENDERED`` and ``cfg.DATASETS.SHARDS`` say.

    Raises:
        ValueError: one of them cannot be registered.
    """
    register_rendered_from_config(cfg)
    register_shards_from_config(cfg)
