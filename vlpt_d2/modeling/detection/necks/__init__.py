"""Necks: from the maps of a trunk to the one map a text head reads."""

from .db import DB_NECK_REGISTRY, DBNeck
from .east import EASTNeck
from .large_kernel import LargeKernelNeck
from .psenet import PSENetNeck
from .scale_fusion import AdaptiveScaleFusion

__all__ = [
    "DB_NECK_REGISTRY",
    "AdaptiveScaleFusion",
    "DBNeck",
    "EASTNeck",
    "LargeKernelNeck",
    "PSENetNeck",
]
