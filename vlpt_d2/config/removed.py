"""Keys that earlier versions had: what a config or a checkpoint that names them means now."""

import logging
from collections.abc import Mapping
from typing import Any

from detectron2.config import CfgNode

__all__ = ["REMOVED", "drop_removed", "removed_faults"]

logger = logging.getLogger(__name__)

#: Keys that are gone, to the value that the package always has now.
REMOVED: dict[str, Any] = {
    "MODEL.IMAGE_ENCODER.MLP_RATIO": 4.0,
    "MODEL.TEXT_ENCODER.MLP_RATIO": 4.0,
    "MODEL.CROSS_ENCODER.MLP_RATIO": 4.0,
    "MODEL.OCLIP.WORDS.MLP_RATIO": 4.0,
    "MODEL.OCLIP.DECODER.MLP_RATIO": 4.0,
    "MODEL.IMAGE_ENCODER.IN_FEATURES": ("res2", "res3", "res4", "res5"),
    "MODEL.STKM.IN_FEATURES": ("res2", "res3", "res4", "res5"),
    "MODEL.VLPT.ITC.TEMPERATURE": 0.07,
    "MODEL.VLPT.WIP.TEMPERATURE": 0.07,
    "MODEL.OCLIP.ITC.TEMPERATURE": 0.07,
    "MODEL.VLPT.ITC.MAX_LOGIT_SCALE": 100.0,
    "MODEL.VLPT.WIP.MAX_LOGIT_SCALE": 100.0,
    "MODEL.OCLIP.ITC.MAX_LOGIT_SCALE": 100.0,
    "MODEL.IMAGE_ENCODER.ATTENTION_POOLING": True,
    "MODEL.VLPT.MODALITY_EMBEDDING": True,
    "MODEL.VLPT.WIP.EXCLUDE_CAPTION": False,
    "MODEL.VLPT.MLM.MASK_SHARE": 0.8,
    "MODEL.VLPT.MLM.RANDOM_SHARE": 0.1,
    "MODEL.OCLIP.NORMALIZATION": "global",
    "MODEL.OCLIP.WORDS.CAUSAL": True,
    "MODEL.OCLIP.WORDS.WIDTH": 64,
    "MODEL.OCLIP.WORDS.NUM_HEADS": 8,
    "MODEL.OCLIP.DECODER.WEIGHT": 1.0,
    "MODEL.OCLIP.ITC.GATHER_GRADIENT": True,
    "MODEL.OCLIP.ITC.MATCH_EQUAL_CAPTIONS": True,
    "MODEL.STKM.LABEL_SMOOTHING": 0.1,
    "MODEL.STKM.SPATIAL_POSITION": True,
    "MODEL.STKM.DECODER.KEY_DIM": 32,
    "MODEL.STKM.DECODER.VALUE_DIM": 32,
    "MODEL.DB.K": 50.0,
    "MODEL.DB.PROBABILITY_WEIGHT": 5.0,
    "MODEL.DB.THRESHOLD_WEIGHT": 10.0,
    "MODEL.DB.BINARY_WEIGHT": 1.0,
    "MODEL.DB.NEGATIVE_RATIO": 3.0,
    "MODEL.DB.THRESHOLD_RANGE": (0.3, 0.7),
    "MODEL.DB.POLYGON_EPSILON": 0.002,
    "MODEL.PSENET.MAX_SHRINK": 20.0,
    "MODEL.PSENET.ROUND_SHRINK": False,
    "MODEL.PSENET.TEXT_WEIGHT": 0.7,
    "MODEL.PSENET.KERNEL_WEIGHT": 0.3,
    "MODEL.PSENET.NEGATIVE_RATIO": 3.0,
    "MODEL.PSENET.KERNEL_MASK": "target",
    "MODEL.PSENET.POLYGON_EPSILON": 0.5,
    "MODEL.EAST.SHRINK_RATIO": 0.3,
    "MODEL.EAST.NMS_THRESH": 0.2,
    "MODEL.EAST.MAX_CELLS": 20000,
    "MODEL.EAST.SCORE_WEIGHT": 1.0,
    "MODEL.EAST.GEOMETRY_WEIGHT": 1.0,
    "MODEL.EAST.ANGLE_WEIGHT": 10.0,
    "MODEL.EAST.GEOMETRY_MEAN": "positive",
    "MODEL.EAST.NMS": "locality_aware",
    "MODEL.EAST.BOX_SCORE": "core",
    "MODEL.EAST.MAX_BOXES": 1000,
    "MODEL.DB.SHRINK_RATIO": 0.4,
    "MODEL.DB.MAX_CANDIDATES": 1000,
    "MODEL.PSENET.MIN_KERNEL_AREA": 16.0,
    "MODEL.PSENET.MIN_AREA": 16.0,
    "MODEL.PSENET.MAX_CANDIDATES": 1000,
    "MODEL.TEXTFIELD.MIN_AREA": 50.0,
    "MODEL.IMAGE_ENCODER.DEPTH": 1,
    "MODEL.OCLIP.IN_FEATURE": "res5",
    "DATALOADER.PREFETCH_FACTOR": 2,
    "SOLVER.EPS": 1e-8,
    "SOLVER.POLY_LR_POWER": 0.9,
    "SOLVER.FIND_UNUSED_PARAMETERS": True,
    "TEST.BEST_MODE": "max",
    "TEST.GALLERY_SIZE": 128,
}
# Keys that are gone, to the key whose value they had to have.
_SAME_AS = {
    f"MODEL.{encoder}.{key}": f"MODEL.IMAGE_ENCODER.{key}"
    for encoder, keys in (
        ("TEXT_ENCODER", ("EMBED_DIM", "NUM_HEADS", "DROPOUT")),
        ("CROSS_ENCODER", ("NUM_HEADS", "DROPOUT")),
    )
    for key in keys
}
# Groups that are gone, to the backbone that read them.
_GROUPS = {"MODEL.SWIN": "build_swin_trunk", "MODEL.VIT": "build_vitdet_pyramid"}


def drop_removed(given: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """Find the keys that are gone and whose values are those that hold now.

    Args:
        given: dotted keys to values, or to values as text.
        known: all keys of the config that they are meant for. A plugin may have brought a key back.

    Returns:
        Their names, which a log line lists.

    Raises:
        ValueError: a key that is gone has another value.
    """
    if faults := removed_faults(given, known):
        raise ValueError("; ".join(faults))
    groups = tuple(f"{group}." for group in _GROUPS)
    gone = [
        key
        for key in given
        if key not in known and (key in REMOVED or key in _SAME_AS or key.startswith(groups))
    ]
    if gone:
        logger.warning(
            "ignored keys of an earlier version, which change nothing now: %s",
            ", ".join(gone),
        )
    return gone


def removed_faults(given: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """Say which keys that are gone have a value that can no longer be had.

    Args:
        given, known: see :func:`drop_removed`.
    """
    faults = []
    for key, value in given.items():
        if key in known:
            continue
        if key in REMOVED and _plain(value) != _plain(REMOVED[key]):
            faults.append(f"{key} is {value}, but this key is gone: it is always {REMOVED[key]}")
        elif key in _SAME_AS:
            other = _SAME_AS[key]
            now = given.get(other, known[other])
            if _plain(value) != _plain(now):
                faults.append(f"{key} is {value}, but this key is gone: {other}, {now}, counts")
    for group, backbone in _GROUPS.items():
        if given.get("MODEL.BACKBONE.NAME") == backbone and not any(
            key.startswith(f"{group}.") for key in known
        ):
            faults.append(
                f"MODEL.BACKBONE.NAME is {backbone}, which is gone with {group}: name another "
                "backbone, or register this one in a package of your own (--plugin)"
            )
    return faults


def _plain(value: Any) -> Any:
    """A value as it compares: text is read as configs read it, and lists are tuples."""
    value = CfgNode._decode_cfg_value(value)
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value
