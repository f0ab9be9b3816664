"""A wheel holds what the package needs, and works away from the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

LICENSES = ("LICENSE", "NOTICE")

BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"

USE = """
import pathlib, sys, vlpt_d2
from vlpt_d2 import get_cfg, model_zoo
from vlpt_d2.cli.doctor import check_package_data
here = pathlib.Path.cwd()
assert pathlib.Path(vlpt_d2.__file__).is_relative_to(here), vlpt_d2.__file__
cfg = get_cfg()
for name in model_zoo.list_configs():
    path = model_zoo.get_config_file(name)
    assert pathlib.Path(path).is_relative_to(here / "vlpt_d2" / "configs"), path
cfg.merge_from_file(model_zoo.get_config_file("pretrain"))
import vlpt_d2.cli.main
assert "detectron2.model_zoo" not in sys.modules  # it needs pkg_resources
assert "vlpt_d2.predictor" not in sys.modules  # imported when it is first used
weights = model_zoo.get_checkpoint("db_mobile")
assert pathlib.Path(weights).is_relative_to(here / "vlpt_d2"), weights
print(*(finding.level for finding in check_package_data()))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    # In a copy: building leaves folders behind that a later build would pick up.
    source = tmp_path_factory.mktemp("source")
    for name in ("vlpt_d2", "configs"):
        shutil.copytree(
            REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", *LICENSES):
        shutil.copy(REPOSITORY / name, source / name)
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-c", BUILD, str(out)], cwd=source, check=True, capture_output=True
    )
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_is_pure_and_whole(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = {f"vlpt_d2/configs/{p.relative_to(REPOSITORY / 'configs').as_posix()}"
               for p in (REPOSITORY / "configs").rglob("*.yaml")}  # fmt: skip
    assert tracked <= names
    modules = {p.relative_to(REPOSITORY).as_posix() for p in REPOSITORY.glob("vlpt_d2/**/*.py")}
    assert modules <= names
    assert "vlpt_d2/data/text/assets/bert_base_uncased_vocab.txt" in names
    weights = {
        p.relative_to(REPOSITORY).as_posix() for p in REPOSITORY.glob("vlpt_d2/**/weights/*")
    }
    assert weights and weights <= names
    assert "vlpt_d2/visualization/templates/evaluation.html" in names
    assert "vlpt_d2/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE") for name in names)
    assert not any(name.startswith(("tests", "configs")) for name in names)


def test_metadata(wheel):
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (n for n in archive.namelist() if n.endswith("dist-info/METADATA"))
    text = archive.read(metadata).decode()
    assert "Requires-Python: >=3.11" in text
    assert "Requires-Dist: torch>=2.6" in text
    assert "detectron2" not in [
        line.split()[1] for line in text.splitlines() if line.startswith("Requires-Dist")
    ]
    (scripts,) = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
    assert b"vlpt-d2 = vlpt_d2.cli.main:main" in archive.read(scripts)


@pytest.mark.slow
def test_an_installed_wheel_finds_its_configs_and_vocabulary(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)  # what installing a pure wheel does
    result = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["ok"]
