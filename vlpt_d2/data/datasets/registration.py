"""Importing this module registers the datasets of this package with detectron2."""

from .builtin import BUILTIN
from .dataset import register_dataset
from .rendered import register_builtin_rendered

for _dataset in BUILTIN:
    register_dataset(_dataset)
register_builtin_rendered()
