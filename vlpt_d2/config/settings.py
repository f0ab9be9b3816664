"""A config as flat text, and what differs between two."""

from collections.abc import Mapping
from functools import cache

from detectron2.config import CfgNode

__all__ = ["NEUTRAL", "default_settings", "differences", "settings"]

#: Keys that change nothing about a run's results.
NEUTRAL = frozenset(
    (
        "OUTPUT_DIR",
        "NUM_THREADS",
        "PROCESS_TIMEOUT",
        "MODEL.DEVICE",
        "DATALOADER.NUM_WORKERS",
        "DATALOADER.PREFETCH_FACTOR",
        "SOLVER.CHECKPOINT_PERIOD",
        "SOLVER.CHECKPOINTS_KEPT",
    )
)


def settings(cfg: CfgNode) -> dict[str, str]:
    """Every key, dotted, to its value as text."""
    flat = {}
    for key, value in cfg.items():
        if isinstance(value, CfgNode):
            flat.update({f"{key}.{inner}": text for inner, text in settings(value).items()})
        else:
            flat[key] = str(value)
    return flat


@cache
def default_settings() -> Mapping[str, str]:
    """The settings of the package's defaults."""
    from . import get_cfg

    return settings(get_cfg())


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Say what differs; a key that is new counts where it is not at its default.

    Args:
        then: settings of a run when it was started.
        now: settings of its config.

    Returns:
        Each key to words such as "SOLVER.BASE_LR was 0.1, is 0.2".
    """
    found = {}
    for key, value in now.items():
        before = then.get(key, default_settings().get(key, ""))
        if before != value:
            found[key] = f"{key} was {before or repr('')}, is {value or repr('')}"
    return found
