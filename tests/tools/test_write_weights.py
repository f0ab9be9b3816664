"""A checkpoint written as the zoo holds weights."""

import hashlib
import importlib.util
import logging
import sys
from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from helpers.detectors import detector_cfg

from vlpt_d2.checkpoint import TextCheckpointer, describe_trunk, save_weights
from vlpt_d2.checkpoint.files import read_checkpoint
from vlpt_d2.utils.errors import run_script

TOOL = Path(__file__).resolve().parents[2] / "tools" / "write_weights.py"


@pytest.fixture
def checkpoint(tmp_path):
    cfg = detector_cfg("DBHead")
    model = build_model(cfg)
    TextCheckpointer(model, str(tmp_path), cfg=cfg).save("model")
    (tmp_path / "config.yaml").write_text(cfg.dump())
    return tmp_path / "model.pth", tmp_path / "config.yaml", model, cfg


def run(monkeypatch, *argv):
    # An export takes long; tests/export has it.
    monkeypatch.setattr("vlpt_d2.export.write.write_graph", lambda *arguments: None)
    monkeypatch.setattr(sys, "argv", ["write_weights.py", *map(str, argv)])
    spec = importlib.util.spec_from_file_location("write_weights", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return run_script(tool.main)


def test_halved_weights_load_without_a_warning(checkpoint, tmp_path, monkeypatch, capsys, caplog):
    path, config, model, cfg = checkpoint
    monkeypatch.setattr(logging.getLogger("vlpt_d2"), "propagate", True)
    output = tmp_path / "small.safetensors"
    assert run(monkeypatch, path, output, "--config-file", config) == 0
    assert hashlib.sha256(output.read_bytes()).hexdigest() in capsys.readouterr().out
    assert output.stat().st_size < 0.55 * path.stat().st_size
    caplog.clear()
    other = build_model(cfg)
    TextCheckpointer(other, cfg=cfg).load(str(output), checkpointables=[])
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    for (name, ours), theirs in zip(model.state_dict().items(), other.state_dict().values()):
        if ours.is_floating_point():
            torch.testing.assert_close(theirs, ours.half().float(), rtol=0, atol=0, msg=name)
    assert read_checkpoint(str(output))["trunk"]["depth"] == 50


def test_weights_of_a_model_of_the_zoo_are_left_out(checkpoint, tmp_path, monkeypatch):
    path, config, model, cfg = checkpoint
    weights = {k: v for k, v in model.state_dict().items() if k.startswith("backbone.")}
    save_weights(weights, describe_trunk(cfg), tmp_path / "trunk.safetensors")
    trunk = str(tmp_path / "trunk.safetensors")
    monkeypatch.setattr("vlpt_d2.model_zoo.handler.get_checkpoint", {"some_trunk": trunk}.get)
    output = tmp_path / "rest.safetensors"
    base = ["--base", "vlpt://some_trunk"]
    assert run(monkeypatch, path, output, "--config-file", config, *base) == 0
    assert all(name.startswith("text_head.") for name in read_checkpoint(str(output))["model"])
    other = build_model(cfg)
    checkpointer = TextCheckpointer(other, cfg=cfg)
    checkpointer.load(str(output), checkpointables=[])
    assert all(name.endswith("num_batches_tracked") for name in checkpointer.missing)
    name = "backbone.bottom_up.stem.conv1.weight"
    assert torch.equal(other.state_dict()[name], model.state_dict()[name].half().float())


def test_what_cannot_be_written(checkpoint, tmp_path, monkeypatch, capsys):
    path, config, model, cfg = checkpoint
    output = tmp_path / "small.safetensors"
    assert run(monkeypatch, tmp_path / "none.pth", output, "--config-file", config) == 2
    assert run(monkeypatch, path, output, "--config-file", "nowhere.yaml") == 2
    model.text_head.probability[0].weight.data.fill_(1e6)
    TextCheckpointer(model, str(tmp_path), cfg=cfg).save("model")
    assert run(monkeypatch, path, output, "--config-file", config) == 2
    assert "text_head.probability.0.weight has values that 16 bits" in capsys.readouterr().err
    assert not output.exists()
