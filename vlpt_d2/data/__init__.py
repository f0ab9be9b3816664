"""Datasets, samples and mappers."""

from . import datasets, detection_mapper, pretrain_mapper  # registers the datasets and the mappers
from .mapper_registry import MAPPER_REGISTRY, build_mapper
