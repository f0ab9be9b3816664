"""Config files, damaged, mixed up, and based on each other in every way."""

from __future__ import annotations

import random
from pathlib import Path

from vlpt_d2.engine.defaults import ConfigError, load_config

from .damage import NUMBERS, damage, damage_numbers, repeat_part
from .fuzzing import Target

_CHILD = """\
VERSION: 2
_BASE_: base.yaml
MODEL:
  WEIGHTS: ""
  PIXEL_MEAN: [123.675, 116.28, 103.53]
  RESNETS:
    DEPTH: 18
SOLVER:
  BASE_LR: 0.001
  STEPS: (60, 80)
"""
_BASE = """\
VERSION: 2
MODEL:
  META_ARCHITECTURE: TextDetector
INPUT:
  FORMAT: RGB
DATASETS:
  TRAIN: ("icdar2015_train",)
"""
_VALUES = [
    *("null", "[]", "{}", "~/x.yaml", "/x.yaml", "child.yaml", "../child.yaml", "https://x/y.yaml"),
    *("!!python/object/apply:os.system ['true']", "!!binary aGk=", "2026-01-01", "[a, [b]]"),
    *("&a [*a]", "!!set {a}", "{1: 2}", "{? [1] : 2}", '"\\0"', "'\\ud800'", "--- 3"),
    *("[" * 3000, "a" * 5000, "!x y", "|\n  x", *NUMBERS),
]


class Configs:
    """A config and the one it is based on."""

    def prepare(self, folder: Path) -> None:
        load_config(str(self._write(folder, _CHILD.encode(), _BASE.encode())))

    def damage(self, folder: Path, rng: random.Random) -> Path:
        texts = [_CHILD.encode(), _BASE.encode()]
        which = rng.choice((0, 0, 1))
        texts[which] = _damaged(texts[which], rng)
        return self._write(folder, *texts)

    def read(self, folder: Path) -> None:
        load_config(str(folder / "child.yaml"))

    def _write(self, folder: Path, child: bytes, base: bytes) -> Path:
        (folder / "base.yaml").write_bytes(base)
        (folder / "child.yaml").write_bytes(child)
        return folder / "child.yaml"


def _damaged(content: bytes, rng: random.Random) -> bytes:
    kind = rng.randrange(5)
    if kind == 0:
        return damage(content, rng)
    if kind == 1:
        return damage_numbers(content, rng)
    if kind == 2:
        return repeat_part(content, rng)
    # Another value of a key, or another key.
    lines = content.decode().splitlines()
    place = rng.randrange(len(lines))
    key, _, value = lines[place].partition(":")
    if kind == 3:
        value = f" {rng.choice(_VALUES)}"
    else:
        key = key[: len(key) - len(key.lstrip())] + rng.choice(
            ["_BASE_", "3", "[1]", "<<", "VERSION"]
        )
    lines[place] = f"{key}:{value}"
    return "\n".join(lines).encode("utf-8", "surrogatepass")


_CONFIGS = Configs()
TARGETS = [
    Target("configs", _CONFIGS.prepare, _CONFIGS.damage, _CONFIGS.read, (ConfigError,), 1000)
]
