"""Datasets, samples and mappers."""

# These register the datasets and the mappers.
from . import (
    datasets,
    detection_mapper,
    oclip_mapper,
    pretrain_mapper,
    regions_mapper,
    stkm_mapper,
)
from .mapper_registry import MAPPER_REGISTRY, build_mapper
