"""Datasets, samples and mappers."""

from .mapper import MAPPER_REGISTRY, build_mapper
