"""The configs that come with the package, by name.

detectron2's own zoo is not touched: importing it needs ``pkg_resources``, which new releases of
setuptools lack.
"""

from .configs import config_root, find_grid, get_config_file, list_configs, list_grids

__all__ = ["config_root", "find_grid", "get_config_file", "list_configs", "list_grids"]
