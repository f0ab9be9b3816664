"""Configs by name: every one is found, and loads."""

from pathlib import Path

import pytest

from vlpt_d2 import model_zoo
from vlpt_d2.config import get_cfg


def test_names_with_and_without_suffix():
    path = model_zoo.get_config_file("pretrain.yaml")
    assert Path(path).is_file()
    assert model_zoo.get_config_file("pretrain") == path


@pytest.mark.parametrize("name", model_zoo.list_configs())
def test_every_listed_config_loads(name):
    cfg = get_cfg()
    cfg.merge_from_file(model_zoo.get_config_file(name))


def test_bases_are_not_listed():
    names = model_zoo.list_configs()
    assert names
    assert not any("_base_" in name for name in names)


@pytest.mark.parametrize("name", ["pretrian.yaml", "../setup", "/etc/passwd.yaml", ""])
def test_unknown_names(name):
    with pytest.raises(FileNotFoundError, match="there are: .*pretrain"):
        model_zoo.get_config_file(name)


def test_an_installed_package_reads_its_own_configs(tmp_path, monkeypatch):
    package = tmp_path / "vlpt_d2"
    (package / "configs" / "sub").mkdir(parents=True)
    (package / "configs" / "sub" / "a.yaml").write_text("SEED: 3\n")
    monkeypatch.setattr("vlpt_d2.model_zoo.configs._PACKAGE", package)
    assert model_zoo.list_configs() == ["sub/a.yaml"]
    assert model_zoo.get_config_file("sub/a") == str(package / "configs" / "sub" / "a.yaml")
