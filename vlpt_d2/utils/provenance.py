"""Where a number comes from: commit, config, weights and library versions."""

from __future__ import annotations

import hashlib
import logging
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.utils.file_io import PathManager

__all__ = ["config_hash", "file_hash", "git_commit", "provenance"]

logger = logging.getLogger(__name__)

_PACKAGE = Path(__file__).resolve().parents[1]
_LIBRARIES = ("torch", "torchvision", "detectron2", "sal-detectron2", "shapely", "numpy")


def provenance(cfg: CfgNode, weights: str | None = None) -> dict[str, Any]:
    """Describe a run so that its numbers can be traced and repeated.

    Args:
        cfg: the config of the run.
        weights: the checkpoint the numbers are of; ``cfg.MODEL.WEIGHTS`` if not given.

    Returns:
        A dict that JSON can hold.
    """
    weights = cfg.MODEL.WEIGHTS if weights is None else weights
    return {
        "commit": git_commit(),
        "config_sha256": config_hash(cfg),
        "weights": weights or None,
        "weights_sha256": file_hash(weights) if weights else None,
        "seed": cfg.SEED,
        "python": platform.python_version(),
        "libraries": _versions(),
    }


def config_hash(cfg: CfgNode) -> str:
    """SHA-256 of the whole config as YAML, whose keys are sorted."""
    return hashlib.sha256(cfg.dump(sort_keys=True).encode()).hexdigest()


def file_hash(path: str) -> str | None:
    """SHA-256 of a file; None, with a warning, where it cannot be read."""
    try:
        with PathManager.open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        logger.warning("%s cannot be read for its hash: %s", path, error)
        return None


def git_commit() -> str | None:
    """The commit of the checkout this package runs from, with "-dirty" where it was edited.

    None for an installed package, or without git.
    """
    if not (_PACKAGE.parent / ".git").exists():
        return None  # a wheel inside some other repository is not of that repository's commit
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            cwd=_PACKAGE.parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None


def _versions() -> dict[str, str]:
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
