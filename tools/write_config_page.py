"""Write docs/config.md: every config key, from the comments above them in the code.

python tools/write_config_page.py
"""

import argparse
import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import CfgNode
from detectron2.config import get_cfg as detectron2_cfg
from fvcore.common.config import BASE_KEY

from vlpt_d2.config import get_cfg
from vlpt_d2.config.keys import declared_keys
from vlpt_d2.data.rendering import RenderSettings
from vlpt_d2.utils.errors import run_script

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "config.md"
_SETTINGS = "DATASETS.RENDERED.SETTINGS"
_ABSENT = object()
# Configs that are named; of more, the number.
_NAMED = 3

_HEAD = """# Config keys

vlpt_d2 adds {count} keys to detectron2's config. Set one in a YAML file, or on the command line:

    vlpt-d2 train --config-file quickstart/db_rendered.yaml SOLVER.MAX_ITER 600

The last column names the shipped configs (in `configs/`) that set the key.
`tools/write_config_page.py` writes this page from the comments in the code. A key that an earlier
version had is ignored where it holds the value that always holds now, and refused otherwise.
"""
_SHARED = """detectron2's documentation has its own keys. These have another default or further
values here:
"""
_TRUNK = """The base of all models sets these, as detectron2's defaults are for another trunk:
"""
_PRESETS = "`None` keeps the value of the preset. The defaults below are those of `default`."


@dataclass(frozen=True)
class Key:
    """A config key as the code declares it: dotted name and the comment above it."""

    name: str
    meaning: str

    @property
    def section(self) -> str:
        """The heading of its section."""
        parts = self.name.split(".")
        deep = len(parts) > 2 and parts[0] in ("MODEL", "INPUT", "DATASETS")
        return ".".join(parts[: 2 if deep else 1]) if len(parts) > 1 else "Run"


def main() -> None:
    """Write the page."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The page as Markdown.

    Raises:
        ValueError: a key has no comment.
    """
    cfg, before = get_cfg(), detectron2_cfg()
    declared = list(_declared())
    groups = {
        key.name: key.meaning
        for key in declared
        if isinstance(_get(cfg, key.name), CfgNode) and key.name != _SETTINGS
    }
    keys = [key for key in declared if key.name not in groups]
    if missing := [key.name for key in keys if not (key.meaning and groups.get(key.section, "-"))]:
        raise ValueError(f"no comment directly above {', '.join(missing)}")
    own = [key for key in keys if _get(before, key.name) is _ABSENT]
    setters = _setters()
    lines = [_HEAD.format(count=len(own))]
    sections: dict[str, list[Key]] = {}
    for key in own:
        sections.setdefault(key.section, []).append(key)
    for section in sorted(sections, key=lambda name: (name == "Run", name)):
        lines += [
            f"## {section}",
            *([_cell(groups[section]), ""] if section in groups else []),
            "| key | type | default | meaning | set by |",
            "|---|---|---|---|---|",
        ]
        for key in sections[section]:
            name = key.name.removeprefix(f"{section}.")
            value = _get(cfg, key.name)
            kind, default = (
                ("group", "") if isinstance(value, CfgNode) else (_kind(value), f"`{value!r}`")
            )
            used = _names(setters.get(key.name, []))
            lines.append(f"| `{name}` | {kind} | {default} | {_cell(key.meaning)} | {used} |")
        lines.append("")
    lines += [f"## {_SETTINGS}", "", _PRESETS, "", *_settings_table(), ""]
    shared = [key for key in keys if key not in own]
    lines += [
        "## Keys of detectron2",
        "",
        _SHARED,
        "| key | default here | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| `{k.name}` | `{_get(cfg, k.name)!r}` | {_cell(k.meaning)} |" for k in shared]
    lines += ["", _TRUNK, "| key | detectron2 | `_base_/trunk` |", "|---|---|---|"]
    base = yaml.safe_load((ROOT / "configs" / "_base_" / "trunk.yaml").read_text("utf-8"))
    for name, value in _flat(base):
        if (default := _get(before, name)) != value:
            lines.append(f"| `{name}` | `{default!r}` | `{value!r}` |")
    return "\n".join([*lines, ""])


def _settings_table() -> Iterator[str]:
    yield "| key | default | meaning |"
    yield "|---|---|---|"
    tree, lines = _parse(inspect.getsourcefile(RenderSettings) or "")
    (settings,) = (
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == RenderSettings.__name__
    )
    for node in settings.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            meaning = _cell(_comment(lines, node.lineno))
            default = getattr(RenderSettings(), name)
            yield f"| `{name.upper()}` | `{default!r}` | {meaning} |"


def _declared() -> Iterator[Key]:
    """The keys and groups in the order of the code, of all functions that declare keys."""
    functions = [f for f in declared_keys() if f.__module__.startswith("vlpt_d2.")]
    # In one order, whatever was imported first.
    for path in sorted({inspect.getsourcefile(function) or "" for function in functions}):
        tree, lines = _parse(path)
        for function in tree.body:
            if isinstance(function, ast.FunctionDef):
                groups = {"cfg": ""}
                for node in function.body:
                    if isinstance(node, ast.Assign):
                        yield from _assigned(node, groups, lines)


def _assigned(node: ast.Assign, groups: dict[str, str], lines: list[str]) -> Iterator[Key]:
    """The key or group that an assignment declares; a group is noted by its variable."""
    (name,) = (_dotted(t, groups) for t in node.targets if isinstance(t, ast.Attribute))
    for target in node.targets:
        if isinstance(target, ast.Name):
            groups[target.id] = name
    yield Key(name, _comment(lines, node.lineno))


def _dotted(target: ast.expr, groups: dict[str, str]) -> str:
    if isinstance(target, ast.Attribute):
        return f"{_dotted(target.value, groups)}.{target.attr}".removeprefix(".")
    assert isinstance(target, ast.Name)
    return groups[target.id]


def _parse(path: str) -> tuple[ast.Module, list[str]]:
    text = Path(path).read_text("utf-8")
    return ast.parse(text), text.splitlines()


def _comment(lines: list[str], number: int) -> str:
    """The comment that ends on the line before a line, counted from 1."""
    start = number - 1
    while lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return " ".join(line.strip().removeprefix("#").strip() for line in lines[start : number - 1])


def _setters() -> dict[str, list[str]]:
    """Each key to the shipped configs that set it, by their names."""
    found: dict[str, list[str]] = {}
    folder = ROOT / "configs"
    for path in sorted(folder.rglob("*.yaml")):
        if path.parent.name != "grids":
            for key, _ in _flat(yaml.safe_load(path.read_text("utf-8"))):
                found.setdefault(key, []).append(
                    path.relative_to(folder).with_suffix("").as_posix()
                )
    return found


def _flat(content: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif key != BASE_KEY:
            yield f"{prefix}{key}", value


def _names(configs: list[str]) -> str:
    more = f", {len(configs) - _NAMED} more" if len(configs) > _NAMED else ""
    return ", ".join(f"`{name}`" for name in configs[:_NAMED]) + more


def _kind(value: Any) -> str:
    return "" if value is None else type(value).__name__


def _cell(text: str) -> str:
    for sign in "|<*":
        text = text.replace(sign, f"\\{sign}")
    return text


def _get(cfg: CfgNode, key: str) -> Any:
    value: Any = cfg
    for name in key.split("."):
        value = value.get(name, _ABSENT) if isinstance(value, CfgNode) else _ABSENT
    return value


if __name__ == "__main__":
    sys.exit(run_script(main))
