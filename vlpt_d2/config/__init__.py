"""One config: detectron2's keys, and those that the parts of vlpt_d2 and its plugins declare."""

from typing import Any

from detectron2.config import CfgNode
from detectron2.config import get_cfg as _detectron2_cfg

from .keys import declare_keys, declared_keys, load_parts
from .node import PlainCfgNode

__all__ = ["add_vlpt_config", "declare_keys", "get_cfg", "load_parts", "with_values"]


def add_vlpt_config(cfg: CfgNode) -> None:
    """Add all keys of vlpt_d2 and its plugins, with their defaults, to a detectron2 config.

    This also registers datasets, backbones, meta-architectures and mappers with detectron2.
    """
    for add in declared_keys():
        add(cfg)


def get_cfg() -> CfgNode:
    """Return detectron2's default config with the keys of vlpt_d2 added.

    Unlike detectron2's, its ``merge_from_file`` runs no code of the file, unless it is asked to.
    """
    cfg = PlainCfgNode(_detectron2_cfg())
    add_vlpt_config(cfg)
    return cfg


def with_values(cfg: CfgNode, values: dict[str, Any]) -> CfgNode:
    """Return a frozen copy of a config with these values set.

    Args:
        cfg: stays as it is.
        values: by dotted key, such as "SOLVER.MAX_ITER". Strings are read as on a command line.
    """
    cfg = cfg.clone()
    cfg.defrost()
    cfg.merge_from_list([word for pair in values.items() for word in pair])
    cfg.freeze()
    return cfg
