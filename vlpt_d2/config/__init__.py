"""Every config key of the plugin, grouped by the part that reads it."""

from detectron2.config import CfgNode
from detectron2.config import get_cfg as _detectron2_cfg

from .backbones import add_backbones_config
from .data import add_data_config
from .detection import add_detection_config
from .node import PlainCfgNode
from .oclip import add_oclip_config
from .pretraining import add_pretraining_config
from .regions import add_regions_config
from .solver import add_solver_config
from .stkm import add_stkm_config

__all__ = ["add_vlpt_config", "get_cfg"]


def add_vlpt_config(cfg: CfgNode) -> None:
    """Add all keys of vlpt_d2, with their defaults, to a detectron2 config in place."""
    add_data_config(cfg)
    add_pretraining_config(cfg)
    add_oclip_config(cfg)
    add_stkm_config(cfg)
    add_backbones_config(cfg)
    add_detection_config(cfg)
    add_regions_config(cfg)
    add_solver_config(cfg)


def get_cfg() -> CfgNode:
    """Return detectron2's default config with the keys of vlpt_d2 added.

    Unlike detectron2's, its ``merge_from_file`` runs no code of the file, unless it is asked to.
    """
    cfg = PlainCfgNode(_detectron2_cfg())
    add_vlpt_config(cfg)
    return cfg
