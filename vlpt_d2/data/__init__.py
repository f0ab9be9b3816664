"""Datasets, samples and mappers."""

from . import datasets  # registers the datasets
