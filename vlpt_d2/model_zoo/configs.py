"""Find a config file by its name, in a wheel and in a checkout alike."""

from __future__ import annotations

import difflib
from pathlib import Path

__all__ = ["config_root", "find_grid", "get_config_file", "list_configs", "list_grids"]

_PACKAGE = Path(__file__).resolve().parents[1]
_BASES = "_base_"
# Grid files of ``vlpt-d2 compare``, which name configs and are none.
_GRIDS = "grids"


def config_root() -> Path:
    """The folder of the configs: inside an installed package, at the top of a checkout."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def list_configs() -> list[str]:
    """Names of all complete configs, relative to their folder, sorted.

    The bases in ``_base_`` and the grid files in ``grids`` are left out.
    """
    root = config_root()
    names = (path.relative_to(root) for path in root.rglob("*.yaml"))
    return sorted(n.as_posix() for n in names if not {_BASES, _GRIDS} & set(n.parts))


def get_config_file(name: str) -> str:
    """Return the path of a config.

    Args:
        name: such as ``"pretrain.yaml"`` or ``"quickstart/pretrain"``; with or without ".yaml".

    Returns:
        A path, usable as ``--config-file`` and in ``cfg.merge_from_file``.

    Raises:
        FileNotFoundError: no such config; the message lists those of similar names.
    """
    return _find(config_root(), name, list_configs(), "config")


def list_grids() -> list[str]:
    """Names of the grid files for ``vlpt-d2 compare`` that come with the package, sorted."""
    return sorted(path.name for path in (config_root() / _GRIDS).glob("*.yaml"))


def find_grid(name: str) -> str:
    """Return the path of a grid file: one of the user's own, or one that comes with the package.

    Args:
        name: a path, or such as ``"transfer"``; with or without ".yaml".

    Raises:
        FileNotFoundError: neither; the message lists those that come with the package.
    """
    if Path(name).is_file():
        return name
    return _find(config_root() / _GRIDS, name, list_grids(), "grid")


def _find(root: Path, name: str, known: list[str], kind: str) -> str:
    relative = name if name.endswith(".yaml") else f"{name}.yaml"
    path = root / relative
    if path.is_file() and path.resolve().is_relative_to(root.resolve()):
        return str(path)
    close = difflib.get_close_matches(relative, known, n=5, cutoff=0.4) or known
    raise FileNotFoundError(f"no {kind} {name!r} in {root}; there are: {', '.join(close)}")
