"""The plugin packages that a process loads, passed on to the processes that it starts."""

import os
from collections.abc import Iterable, Sequence

__all__ = ["PLUGIN_HELP", "name_plugins", "named_plugins", "take_plugin_options"]

PLUGIN_HELP = "import this package first; it may register models, mappers, datasets or keys"

# Names of packages, separated by commas.
_VARIABLE = "VLPT_D2_PLUGINS"


def named_plugins() -> list[str]:
    """Names of the packages to load in addition to those with an entry point."""
    return [name for name in os.environ.get(_VARIABLE, "").split(",") if name]


def name_plugins(names: Iterable[str]) -> None:
    """Load these packages too, here and in every process that is started from now on."""
    os.environ[_VARIABLE] = ",".join(dict.fromkeys([*named_plugins(), *names]))


def take_plugin_options(words: Sequence[str]) -> list[str]:
    """Take every ``--plugin NAME`` and ``--plugin=NAME`` out of a command line and name them.

    Args:
        words: the command line.

    Returns:
        What is left of it. A last ``--plugin`` without a name stays.
    """
    rest, names, left = [], [], iter(words)
    for word in left:
        if word.startswith("--plugin="):
            names.append(word.removeprefix("--plugin="))
        elif word == "--plugin" and (name := next(left, None)) is not None:
            names.append(name)
        else:
            rest.append(word)
    name_plugins(names)
    return rest
