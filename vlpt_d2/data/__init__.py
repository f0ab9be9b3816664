"""Datasets, samples and mappers."""

from typing import TYPE_CHECKING

from ..utils.lazy import lazy_names

if TYPE_CHECKING:
    from .mapper import MAPPER_REGISTRY, build_mapper

__all__ = ["MAPPER_REGISTRY", "build_mapper"]

__getattr__ = lazy_names(__name__, {"MAPPER_REGISTRY": "mapper", "build_mapper": "mapper"})
