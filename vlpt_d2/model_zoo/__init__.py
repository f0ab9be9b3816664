"""The configs that come with the package, by name.

detectron2's own zoo is not touched: importing it needs ``pkg_resources``, which new releases of
setuptools lack.
"""

from .configs import config_root, get_config_file, list_configs

__all__ = ["config_root", "get_config_file", "list_configs"]
