"""Necks: from the maps of a trunk to the one map a text head reads."""

from .db import DBNeck
from .east import EASTNeck
from .psenet import PSENetNeck
from .scale_fusion import AdaptiveScaleFusion

__all__ = ["AdaptiveScaleFusion", "DBNeck", "EASTNeck", "PSENetNeck"]
