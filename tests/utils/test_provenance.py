"""Provenance: hashes that change with what they name, and the commit of a checkout alone."""

import hashlib
import json

from vlpt_d2.config import get_cfg
from vlpt_d2.utils import provenance as module
from vlpt_d2.utils.provenance import config_hash, file_hash, git_commit, provenance


def test_config_hash_follows_the_values():
    first, second = get_cfg(), get_cfg()
    assert config_hash(first) == config_hash(second)
    second.SEED = 3
    assert config_hash(first) != config_hash(second)


def test_file_hash(tmp_path, caplog):
    path = tmp_path / "weights.pth"
    content = bytes(range(256)) * 9000  # more than one block
    path.write_bytes(content)
    assert file_hash(str(path)) == hashlib.sha256(content).hexdigest()
    assert file_hash(str(tmp_path / "none.pth")) is None
    assert "cannot be read" in caplog.text


def test_an_installed_package_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PACKAGE", tmp_path / "site-packages" / "vlpt_d2")
    assert git_commit() is None


def test_provenance_is_json():
    cfg = get_cfg()
    cfg.SEED = 11
    record = json.loads(json.dumps(provenance(cfg)))
    assert record["seed"] == 11
    assert record["weights"] is None
    assert "torch" in record["libraries"]
