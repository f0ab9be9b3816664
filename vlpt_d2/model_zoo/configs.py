"""Find a config file by its name, in a wheel and in a checkout alike."""

from __future__ import annotations

import difflib
from pathlib import Path

__all__ = ["config_root", "get_config_file", "list_configs"]

_PACKAGE = Path(__file__).resolve().parents[1]


def config_root() -> Path:
    """The folder of the configs: inside an installed package, at the top of a checkout."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def list_configs() -> list[str]:
    """Names of all configs that stand alone, relative to their folder, sorted.

    The bases in ``_base_`` are left out.
    """
    root = config_root()
    names = (path.relative_to(root) for path in root.rglob("*.yaml"))
    return sorted(name.as_posix() for name in names if "_base_" not in name.parts)


def get_config_file(name: str) -> str:
    """Return the path of a config.

    Args:
        name: such as ``"pretrain.yaml"`` or ``"quickstart/pretrain"``; with or without ".yaml".

    Returns:
        A path, usable as ``--config-file`` and in ``cfg.merge_from_file``.

    Raises:
        FileNotFoundError: no such config; the message lists those of similar names.
    """
    relative = name if name.endswith(".yaml") else f"{name}.yaml"
    root = config_root()
    path = root / relative
    if path.is_file() and path.resolve().is_relative_to(root.resolve()):
        return str(path)
    known = list_configs()
    close = difflib.get_close_matches(relative, known, n=5, cutoff=0.4) or known
    raise FileNotFoundError(f"no config {name!r} in {root}; there are: {', '.join(close)}")
