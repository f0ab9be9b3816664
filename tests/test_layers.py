"""Imports point down the layers only, function-level imports included."""

import ast
from pathlib import Path

import vlpt_d2

PACKAGE = Path(vlpt_d2.__file__).parent
# From the lowest up; parts of one layer do not import each other.
LAYERS = (
    {"utils"},
    {"config"},
    {"structures"},
    {"data"},
    {"visualization"},
    {"evaluation"},
    {"detections"},
    {"modeling"},
    {"checkpoint", "export", "model_zoo", "solver"},
    {"engine"},
    {"predictor"},
    {"bulk", "comparison", "detect_files", "inspection"},
    {"demo"},
    {"cli"},
)
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}


def imports():
    """(importing module, imported module) of the package, as dotted names below it."""
    for file in PACKAGE.rglob("*.py"):
        module = file.relative_to(PACKAGE).with_suffix("").parts
        if len(module) == 1 and module[0] == "__init__":
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.ImportFrom) or node.level == 0:
                continue
            base = module[: len(module) - node.level]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            for name in names:
                yield ".".join(module), ".".join([*base, name])


def test_every_part_has_a_layer():
    parts = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert parts - {"__init__"} == set(LEVEL)


def test_imports_point_down():
    wrong = set()
    for module, target in imports():
        importer, imported = module.partition(".")[0], target.partition(".")[0]
        if importer != imported and LEVEL[imported] >= LEVEL[importer]:
            wrong.add(f"{module} imports {target}")
    assert not wrong
