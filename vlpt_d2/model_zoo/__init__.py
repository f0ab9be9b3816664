"""The models and the configs that come with the package, by name.

detectron2's own zoo is not touched: importing it needs ``pkg_resources``, which new releases of
setuptools lack.
"""

from .configs import config_root, find_grid, get_config_file, list_configs, list_grids
from .models import Model, get, get_checkpoint, get_config, list_models

__all__ = [
    "Model",
    "config_root",
    "find_grid",
    "get",
    "get_checkpoint",
    "get_config",
    "get_config_file",
    "list_configs",
    "list_grids",
    "list_models",
]
