"""Keys that earlier versions had: what a config or a checkpoint that names them means now."""

import logging
from collections.abc import Mapping
from typing import Any

from detectron2.config import CfgNode

__all__ = ["REMOVED", "drop_removed", "removed_faults"]

logger = logging.getLogger(__name__)

#: Keys that are gone, to the value that the package always has now.
REMOVED: dict[str, Any] = {"MODEL.EAST.NMS": "locality_aware"}
# Keys that are gone, to the key whose value they had to have.
_SAME_AS: dict[str, str] = {}
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
            "ignored keys of an earlier version, whose values are what always holds now: %s",
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
