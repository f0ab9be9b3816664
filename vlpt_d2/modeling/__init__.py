"""Registered backbones, text detectors and pre-trainings."""

from . import backbone, detection, pretraining
