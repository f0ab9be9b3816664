"""Registered backbones and meta-architectures."""

from . import backbone, detection, pretraining
