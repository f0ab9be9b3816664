"""The config's root: files that run no code, and errors that name the file."""

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import yaml
from detectron2.config import CfgNode
from detectron2.utils.file_io import PathManager
from fvcore.common.config import BASE_KEY

from .removed import drop_removed
from .settings import settings

__all__ = ["PlainCfgNode", "read_yaml"]


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which takes the last of equal keys; this one refuses them."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[Any] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                problem = f"{key.value} is there twice, and one of both would be lost"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return node


class PlainCfgNode(CfgNode):
    """detectron2's config node whose files hold plain values.

    detectron2 runs the Python tags of a YAML file by default. Nodes below this one are
    detectron2's own, as yacs compares their types.
    """

    def merge_from_file(self, cfg_filename: str, allow_unsafe: bool = False) -> None:
        """Read a YAML file and its ``_BASE_`` and take over their values.

        Args:
            cfg_filename: the file.
            allow_unsafe: run Python tags of the file; only for files that you trust.

        Raises:
            FileNotFoundError: the file or a base of it is missing.
            ValueError: a file is no YAML of ``KEY: value`` lines, or bases lead in a circle.
            KeyError: an unknown key.
        """
        if not PathManager.isfile(cfg_filename):
            raise FileNotFoundError(f"{cfg_filename}: there is no such config file")
        super().merge_from_file(cfg_filename, allow_unsafe)

    def load_yaml_with_base(self, filename: str, allow_unsafe: bool = False) -> dict[str, Any]:
        """Read a YAML file and its bases, for :meth:`merge_from_file`."""
        if allow_unsafe:
            return CfgNode.load_yaml_with_base(filename, allow_unsafe)
        return _read(filename, self)

    def merge_from_other_cfg(self, cfg_other: CfgNode) -> None:
        """Take over the values of another config.

        Raises:
            KeyError: an unknown key.
            ValueError: a value of the wrong type, or a key that is gone (:mod:`.removed`) with
                another value than the one that holds now.
        """
        gone = drop_removed(settings(cfg_other), settings(self))
        other = cfg_other.clone()
        for key in gone:
            _delete(other, key.split("."))
        super().merge_from_other_cfg(other)

    def merge_from_list(self, cfg_list: list[Any]) -> None:
        """Take over "KEY value" pairs; see :meth:`merge_from_other_cfg`."""
        pairs = [cfg_list[i : i + 2] for i in range(0, len(cfg_list), 2)]
        gone = drop_removed(dict(pair for pair in pairs if len(pair) == 2), settings(self))
        super().merge_from_list([x for pair in pairs if pair[0] not in gone for x in pair])

    @classmethod
    def _create_config_tree_from_dict(cls, dic: dict, key_list: list[str]) -> dict:
        return CfgNode._create_config_tree_from_dict(dic, key_list)

    @classmethod
    def _decode_cfg_value(cls, value: Any) -> Any:
        return CfgNode._decode_cfg_value(value)


def _delete(node: CfgNode, names: list[str]) -> None:
    """Delete a key, and the group that holds nothing else."""
    if len(names) > 1:
        _delete(node[names[0]], names[1:])
    if len(names) == 1 or not node[names[0]]:
        del node[names[0]]


def _read(path: str, known: CfgNode, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read a config file on top of its bases; refuse what cannot be read.

    Args:
        path: the file.
        known: all keys.
        above: the files that lead to it as a base, the first of them first.
    """
    if path in above:
        chain = " -> ".join([*above[above.index(path) :], path])
        raise ValueError(f"{above[-1]}: {BASE_KEY} leads in a circle: {chain}. Take one out")
    if above and not PathManager.isfile(path):
        raise FileNotFoundError(
            f"{path}: there is no such config file; {above[-1]} names it as {BASE_KEY}"
        )
    content = read_yaml(path)
    if not isinstance(content, dict):
        held = "is empty" if content is None else f"holds a {type(content).__name__}"
        raise ValueError(f"{path}: {held}; a config is made of KEY: value lines")
    fault = next(_faults(content, known), None)
    if fault is not None:
        raise ValueError(f"{path}: {fault}")
    bases = content.get(BASE_KEY, [])
    merged: dict[str, Any] = {}
    for base in bases if isinstance(bases, list) else [bases]:
        if not isinstance(base, str) or not base:
            raise ValueError(
                f"{path}: {BASE_KEY} is {bases!r}; it must name a config file, or list several"
            )
        base = os.path.expanduser(base)
        # What detectron2 does not look for next to the file.
        if not base.startswith(("/", "https://", "http://")):
            base = os.path.normpath(os.path.join(os.path.dirname(path), base))
        merged = _merged(merged, _read(base, known, (*above, path)))
    return _merged(merged, {key: value for key, value in content.items() if key != BASE_KEY})


def _merged(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
    """The keys of both; neither is changed."""
    both = low | high
    for key in low.keys() & high.keys():
        if isinstance(low[key], dict) and isinstance(high[key], dict):
            both[key] = _merged(low[key], high[key])
    return both


def read_yaml(path: str) -> Any:
    """Read the plain values of a YAML file, which must not be changed.

    Raises:
        ValueError: it is no YAML, or gives a key twice; the message names the line.
    """
    local = os.stat(path) if os.path.isfile(path) else None
    return _parse(path, local and (local.st_mtime_ns, local.st_size, local.st_ino))


@lru_cache(maxsize=256)  # bases are parsed once for all their configs
def _parse(path: str, version: tuple[int, ...] | None) -> Any:
    try:
        with PathManager.open(path, "r") as file:
            return yaml.load(file, _Loader)
    except (UnicodeDecodeError, yaml.reader.ReaderError) as error:
        raise ValueError(f"{path}: is not a text file; a config is a YAML file in UTF-8") from error
    except yaml.constructor.ConstructorError as error:
        raise ValueError(
            f"{path}: {error.problem}, {_place(error)}. Configs are read by YAML's safe loader: "
            "write plain values, a tuple as [1, 2]"
        ) from error
    except yaml.MarkedYAMLError as error:
        raise ValueError(f"{path}: {error.problem or error.context}, {_place(error)}") from error
    except RecursionError as error:
        raise ValueError(f"{path}: lists or keys are nested too deeply") from error
    except ValueError as error:
        # A date or a number of thousands of digits.
        raise ValueError(f"{path}: a value cannot be read: {error}") from error


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark
    return f"line {mark.line + 1}" if mark else "somewhere"


def _faults(content: dict, known: CfgNode, prefix: str = "") -> Iterator[str]:
    """What detectron2 and yacs would stumble over without naming the key."""
    for key, value in content.items():
        name = f"{prefix}{key}"
        if not isinstance(key, str):
            yield f"the key {name} is not text; put it in quotes, or take it out"
        elif isinstance(value, dict):
            group = known.get(key)
            yield from _faults(
                value, group if isinstance(group, CfgNode) else CfgNode(), f"{name}."
            )
        elif isinstance(known.get(key), CfgNode):
            yield f"{name} is {value!r}; it must be a group of keys"
        elif name == "VERSION" and type(value) is not int:
            yield f"VERSION is {value!r}; configs of detectron2 and vlpt_d2 have version 2"
