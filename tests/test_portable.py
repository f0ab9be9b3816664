"""The package imports where Python has no POSIX modules."""

import ast
from pathlib import Path

import vlpt_d2

POSIX_ONLY = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios"}


def unguarded(tree):
    """POSIX-only modules that are imported outside of ``try: ... except ImportError``."""
    guarded = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.Try)
        and any("ImportError" in ast.unparse(h.type) for h in block.handlers if h.type)
        for part in block.body
        for node in ast.walk(part)
    }
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & POSIX_ONLY
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from {node.module} & POSIX_ONLY


def test_posix_modules_are_guarded():
    assert list(unguarded(ast.parse("import os, fcntl\nfrom resource import getrusage"))) == [
        "fcntl",
        "resource",
    ]
    assert not list(unguarded(ast.parse("try:\n import pwd\nexcept ImportError:\n pwd = None")))
    for file in Path(vlpt_d2.__file__).parent.rglob("*.py"):
        assert not list(unguarded(ast.parse(file.read_text("utf-8")))), file
