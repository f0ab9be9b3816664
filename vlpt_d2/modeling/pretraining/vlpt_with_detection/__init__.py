"""VLPT and a text detector's loss on one trunk."""

from . import config, mapper
from .model import VLPTWithDetection

__all__ = ["VLPTWithDetection"]
