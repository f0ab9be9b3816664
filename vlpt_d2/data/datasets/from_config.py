"""Datasets that a config describes, registered."""

from __future__ import annotations

from pathlib import Path

from detectron2.config import CfgNode

from ...utils.environment import data_root
from ..shards import register_shards_from_config
from .formats import FORMATS, register_folder
from .rendered import register_rendered_from_config

__all__ = ["register_from_config"]


def register_from_config(cfg: CfgNode) -> None:
    """Register what ``cfg.DATASETS.RENDERED``, ``FOLDERS`` and ``SHARDS`` say.

    Raises:
        ValueError: one of them cannot be registered.
    """
    register_rendered_from_config(cfg)
    for entry in cfg.DATASETS.FOLDERS:
        if isinstance(entry, str) or len(entry) != 4 or entry[1] not in FORMATS:
            raise ValueError(
                f"DATASETS.FOLDERS has {entry!r}; an entry is [NAME, FORMAT, IMAGES, LABELS] with "
                f"a format of {', '.join(FORMATS)}"
            )
        name, form, images, labels = entry
        relative = [path for path in (images, labels) if not Path(path).is_absolute()]
        note = (
            f"Relative paths of DATASETS.FOLDERS ({', '.join(dict.fromkeys(relative))}) start at "
            f"DETECTRON2_DATASETS, which is {data_root().absolute()}"
            if relative
            else ""
        )
        register_folder(name, form, data_root() / images, data_root() / labels, note=note)
    register_shards_from_config(cfg)
