"""Keys are declared by the parts that read them; here they meet."""

import importlib
from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points

from detectron2.config import CfgNode

from ..utils.plugins import named_plugins

__all__ = ["PluginError", "declare_keys", "declared_keys", "load_parts"]

# The parts of this package that register datasets, mappers, models and keys.
_PARTS = (
    "vlpt_d2.config.defaults",
    "vlpt_d2.data.datasets.registration",
    "vlpt_d2.modeling.backbone",
    "vlpt_d2.modeling.detection.heads",
    "vlpt_d2.modeling.pretraining",
    "vlpt_d2.model_zoo.handler",
)

_DECLARED: dict[str, Callable[[CfgNode], None]] = {}


class PluginError(ValueError):
    """A plugin package cannot be imported; the message names it."""

    exit_status = 2


def declare_keys(add: Callable[[CfgNode], None]) -> Callable[[CfgNode], None]:
    """Decorate a function that adds keys to a config in place: :func:`get_cfg` calls it.

    Args:
        add: called with a config that has detectron2's keys. The order of such functions is open.
    """
    _DECLARED[f"{add.__module__}.{add.__qualname__}"] = add
    return add


def declared_keys() -> list[Callable[[CfgNode], None]]:
    """All functions that were declared, those of this package and of its plugins."""
    load_parts()
    return list(_DECLARED.values())


def load_parts() -> None:
    """Import every part of this package and every plugin, once, so that they register themselves.

    Plugins are the installed packages with an entry point in the group "vlpt_d2.plugins", and those
    of ``--plugin`` (:mod:`vlpt_d2.utils.plugins`).

    Raises:
        PluginError: a plugin cannot be imported.
    """
    _load_builtin()
    for name in named_plugins():
        _load_plugin(name)


@cache
def _load_builtin() -> None:
    for name in _PARTS:
        importlib.import_module(name)
    for point in entry_points(group="vlpt_d2.plugins"):
        _load_plugin(point.module)


@cache
def _load_plugin(name: str) -> None:
    try:
        importlib.import_module(name)
    except Exception as error:
        raise PluginError(
            f"the plugin {name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
