"""vlpt_d2: vision-language pre-training for scene text detectors, as a detectron2 plugin.

Importing the package registers its backbones, meta-architectures, text heads and datasets with
detectron2; :func:`vlpt_d2.config.add_vlpt_config` adds its keys to a detectron2 config.
"""

from . import data, evaluation, modeling  # registers datasets, backbones, meta-architectures
from .config import add_vlpt_config, get_cfg

__version__ = "0.1.0"
__all__ = ["__version__", "add_vlpt_config", "get_cfg"]
