"""The trainer, its hooks, and starting runs."""

from typing import TYPE_CHECKING

from ..utils.lazy import lazy_names

if TYPE_CHECKING:
    from .defaults import ConfigError, load_config, setup
    from .launch import main
    from .trainer import TextTrainer

__all__ = ["ConfigError", "TextTrainer", "load_config", "main", "setup"]

__getattr__ = lazy_names(
    __name__,
    {
        "ConfigError": "defaults",
        "TextTrainer": "trainer",
        "load_config": "defaults",
        "main": "launch",
        "setup": "defaults",
    },
)
