"""The values that config keys may have, checked before anything is built."""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from detectron2.config import CfgNode, get_cfg

from ..config.keys import declared_keys
from ..config.settings import settings
from ..data.sizes import SizeForTest

__all__ = ["check_values"]


class _Rule(NamedTuple):
    """What a value must be, in words and as a test."""

    words: str
    fits: Callable[[Any], bool]


def _at_least(least: float) -> _Rule:
    return _Rule(f"at least {least}", lambda x: x >= least)


def _within(low: float, high: float) -> _Rule:
    return _Rule(f"in [{low}, {high}]", lambda x: low <= x <= high)


_ABOVE_0 = _Rule("above 0", lambda x: x > 0)
_BELOW_1 = _Rule("in [0, 1)", lambda x: 0 <= x < 1)
_SHARE = _within(0, 1)


def _is_number(value: Any, kind: Any = int | float) -> bool:
    return isinstance(value, kind) and math.isfinite(value)


def _one(rule: _Rule) -> _Rule:
    return _Rule(rule.words, lambda x: _is_number(x) and rule.fits(x))


def _each(count: int, rule: _Rule, kind: Any = int | float) -> _Rule:
    what = "whole numbers" if kind is int else "numbers"
    return _Rule(
        f"{count} {what}, each {rule.words}",
        lambda values: (
            len(values) == count and all(_is_number(x, kind) and rule.fits(x) for x in values)
        ),
    )


def _choice(*names: str) -> _Rule:
    return _Rule(f"one of {', '.join(names)}", lambda name: name in names)


def _are_milestones(values: Any) -> bool:
    rising = all(_is_number(x, int) and x > 0 for x in values)
    return rising and all(a < b for a, b in itertools.pairwise(values))


# Of these a value of None means that there is none.
_OPTIONAL = tuple(f"SOLVER.WEIGHT_DECAY_{part}" for part in ("NORM", "BATCH_NORM", "BIAS"))
_MILESTONES = _Rule("whole numbers above 0, each above the one before", _are_milestones)
_RULES: dict[str, _Rule] = {
    "NUM_THREADS": _one(_at_least(0)),
    "PROCESS_TIMEOUT": _one(_ABOVE_0),
    "INPUT.FORMAT": _choice("RGB", "BGR"),
    "MODEL.BACKBONE.FREEZE_AT": _one(_at_least(0)),
    "MODEL.CRAFT.LOW_TEXT": _one(_SHARE),
    "MODEL.DB.UNCLIP_RATIO_BOX": _one(_ABOVE_0),
    "MODEL.DB.UNCLIP_RATIO_POLYGON": _one(_ABOVE_0),
    "MODEL.EAST.DISTANCE_SCALE": _one(_ABOVE_0),
    "MODEL.GNNETS.SPLIT_SIZE": _one(_ABOVE_0),
    "MODEL.PIXEL_MEAN": _each(3, _within(0, 255)),
    "MODEL.PIXEL_STD": _each(3, _ABOVE_0),
    "INPUT.PRETRAIN.SIZE": _each(2, _at_least(1), int),
    "INPUT.PRETRAIN.ROTATION": _one(_at_least(0)),
    "INPUT.DETECTION.MIN_VISIBLE": _one(_SHARE),
    "INPUT.DETECTION.SHORT_SIDE": _one(_at_least(0)),
    "INPUT.DETECTION.ASPECT": _each(2, _ABOVE_0),
    "INPUT.DETECTION.FLIP_PROB": _one(_SHARE),
    "INPUT.DETECTION.ROTATION": _each(2, _within(-360, 360)),
    "INPUT.DETECTION.SCALE": _each(2, _ABOVE_0),
    "INPUT.DETECTION.CROP": _choice("fit", "fixed"),
    "INPUT.DETECTION.CROP_MAX_TRIES": _one(_at_least(0)),
    "INPUT.DETECTION.CROP_MIN_SIDE": _one(_SHARE),
    "INPUT.DETECTION.CROP_MAX_SIDE": _one(_Rule("in (0, 1]", lambda x: 0 < x <= 1)),
    "INPUT.DETECTION.CROP_TEXT_PROB": _one(_SHARE),
    "INPUT.DETECTION.TRAIN_SIZE": _each(2, _at_least(1), int),
    "INPUT.DETECTION.BRIGHTNESS": _one(_at_least(0)),
    "INPUT.DETECTION.CONTRAST": _one(_at_least(0)),
    "INPUT.DETECTION.SATURATION": _one(_at_least(0)),
    "INPUT.DETECTION.HUE": _one(_within(0, 0.5)),
    "INPUT.DETECTION.TEST_SIZE": _each(2, _at_least(0), int),
    "INPUT.DETECTION.TEST_MAX_SIZE": _one(_at_least(0)),
    "DATALOADER.NUM_WORKERS": _one(_at_least(0)),
    "DATALOADER.SHARD_BUFFER": _one(_at_least(1)),
    "TEST.IMS_PER_BATCH": _one(_at_least(1)),
    "TEST.SCORE_THRESH": _one(_SHARE),
    "TEST.EVAL_PERIOD": _one(_at_least(0)),
    "TEST.PATIENCE": _one(_at_least(0)),
    "SOLVER.MAX_ITER": _one(_at_least(1)),
    "SOLVER.EPOCHS": _one(_at_least(0)),
    "SOLVER.IMS_PER_BATCH": _one(_at_least(1)),
    "SOLVER.REFERENCE_WORLD_SIZE": _one(_at_least(0)),
    "SOLVER.ACCUMULATE": _one(_at_least(1)),
    "SOLVER.CHECKPOINT_PERIOD": _one(_at_least(1)),
    "SOLVER.CHECKPOINTS_KEPT": _one(_at_least(0)),
    "SOLVER.BASE_LR": _one(_at_least(0)),
    "SOLVER.BASE_LR_END": _one(_at_least(0)),
    "SOLVER.MOMENTUM": _one(_BELOW_1),
    "SOLVER.BETAS": _each(2, _BELOW_1),
    "SOLVER.EMA": _one(_BELOW_1),
    "SOLVER.WEIGHT_DECAY": _one(_at_least(0)),
    **dict.fromkeys(_OPTIONAL, _one(_at_least(0))),
    "SOLVER.BIAS_LR_FACTOR": _one(_at_least(0)),
    "SOLVER.GAMMA": _one(_ABOVE_0),
    "SOLVER.STEPS": _MILESTONES,
    "SOLVER.EPOCH_STEPS": _MILESTONES,
    "SOLVER.NUM_DECAYS": _one(_at_least(1)),
    "SOLVER.WARMUP_ITERS": _one(_at_least(0)),
    "SOLVER.WARMUP_FACTOR": _one(_SHARE),
    "SOLVER.WARMUP_METHOD": _choice("linear", "constant"),
    "SOLVER.CLIP_GRADIENTS.CLIP_TYPE": _choice("value", "norm", "full_model"),
    "SOLVER.CLIP_GRADIENTS.CLIP_VALUE": _one(_ABOVE_0),
    "SOLVER.CLIP_GRADIENTS.NORM_TYPE": _ABOVE_0,  # may be infinite
}

# Keys of MODEL by the end of their name.
_NORMS = ("BN", "SyncBN", "FrozenBN", "GN", "nnSyncBN", "naiveSyncBN", "naiveSyncBN_N", "LN")
_MODEL_RULES: dict[str, _Rule] = {
    "_THRESH": _one(_SHARE),
    "PROBABILITY": _one(_SHARE),
    "HIDDEN_SHARE": _one(_SHARE),
    "DROPOUT": _one(_BELOW_1),
    "WEIGHT": _one(_at_least(0)),
    "NUM_HEADS": _one(_at_least(1)),
    "MIN_SIZE": _one(_at_least(0)),
    "MIN_TEXT_SIZE": _one(_at_least(0)),
    # As detectron2.layers.get_norm knows them.
    "NORM": _Rule(f'"" or one of {", ".join(_NORMS)}', lambda name: name in ("", *_NORMS)),
}


def _check(key: str, value: Any, rule: _Rule) -> None:
    if not (key in _OPTIONAL if value is None else rule.fits(value)):
        raise ValueError(f"{key} is {value!r}; it must be {rule.words}")


def _model_rules() -> dict[str, _Rule]:
    """The rules of the keys that this package declares in MODEL; those of plugins are their own."""
    ours = get_cfg()
    theirs = settings(ours).keys()
    for add in declared_keys():
        if add.__module__.startswith("vlpt_d2."):
            add(ours)
    keys = {"MODEL.RESNETS.NORM", "MODEL.FPN.NORM", *(settings(ours).keys() - theirs)}
    return {
        key: rule
        for key in sorted(keys)
        for end, rule in _MODEL_RULES.items()
        if key.startswith("MODEL.") and key.endswith(end)
    }


def check_values(cfg: CfgNode, training: bool = False) -> None:
    """Check the values of the keys that say how images are read, what a model is, how to train.

    Args:
        cfg: all keys.
        training: check SOLVER too, which nothing else uses.

    Raises:
        ValueError: a value makes no sense; the message names its key.
    """
    for key, rule in {**_RULES, **_model_rules()}.items():
        if key.startswith("SOLVER.") and not training:
            continue
        value = cfg
        for name in key.split("."):
            value = value[name]
        _check(key, value, rule)
    size = cfg.INPUT.DETECTION
    SizeForTest(size.TEST_RESIZE, tuple(size.TEST_SIZE), size.TEST_MAX_SIZE)
