"""A config as flat text, and what differs between two."""

from collections.abc import Mapping
from functools import cache

from detectron2.config import CfgNode

from .removed import removed_faults

__all__ = ["NEUTRAL", "default_settings", "differences", "settings"]

#: Keys that change nothing about a run's results.
NEUTRAL = frozenset(
    (
        "OUTPUT_DIR",
        "NUM_THREADS",
        "PROCESS_TIMEOUT",
        "WANDB_PROJECT",
        "MODEL.DEVICE",
        "DATALOADER.NUM_WORKERS",
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


# Values that a default had before, where the change has no effect on any model of the package.
_FORMER_DEFAULTS = {
    "SOLVER.NO_WEIGHT_DECAY": "['cls_token', 'position', 'position_embeddings', "
    "'absolute_pos_embed', 'relative_position_bias_table', 'pos_embed', 'rel_pos_h', 'rel_pos_w']"
}


@cache
def default_settings() -> Mapping[str, str]:
    """The settings of the package's defaults."""
    from . import get_cfg

    return settings(get_cfg())


def _with_lists(text: str) -> str:
    """Tuples in a tuple come back from YAML as lists."""
    return text.translate(str.maketrans("()", "[]")).replace(",]", "]")


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Say what differs.

    A key that is new counts where it is not at its default, and one that is gone where it had
    another value than the one that holds now.

    Args:
        then: settings of a run when it was started.
        now: settings of its config.

    Returns:
        Each key to words such as "SOLVER.BASE_LR was 0.1, is 0.2".
    """
    found = {}
    for key, value in now.items():
        default = default_settings().get(key, "")
        former = _FORMER_DEFAULTS.get(key)
        before, after = (default if x == former else x for x in (then.get(key, default), value))
        if _with_lists(before) != _with_lists(after):
            found[key] = f"{key} was {before or repr('')}, is {after or repr('')}"
    for fault in removed_faults(then, now):
        found[fault.split()[0]] = fault
    return found
