"""Files of the benchmarks: ground truth and results, as their own scripts read them."""

from .benchmarks import FORMATS
from .folders import FileError
from .load import ImageTexts, LoadedSet, load_set
from .rules import RULES

__all__ = ["FORMATS", "RULES", "FileError", "ImageTexts", "LoadedSet", "load_set"]
