"""Readers, one file per dataset; importing this registers them all."""

from . import builtin, rendered  # registers the datasets
