"""Why a detector failed: classes of failures, recall by kind of text, curves, a page."""

from .failures import explain
from .page import to_page
from .recall import recall_by
from .report import analyse, summarise, threshold_curve

__all__ = ["analyse", "explain", "recall_by", "summarise", "threshold_curve", "to_page"]
