"""Trunk files, in this project and in detectron2's own models."""

import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import get_cfg as get_detectron2_cfg
from detectron2.modeling import build_model
from trunks import Holder, Other, assert_same_outputs, randomize, trunk_cfg

from vlpt_d2.checkpoint import (
    CheckpointError,
    TextCheckpointer,
    describe_trunk,
    extract_trunk,
    read_checkpoint,
    save_trunk,
)

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_extracted_trunk_computes_the_same(tmp_path, suffix):
    cfg = trunk_cfg()
    source = randomize(Other(cfg, text=torch.nn.Linear(2, 2)))
    TextCheckpointer(source, str(tmp_path), cfg=cfg).save("model")
    path = str(tmp_path / "new" / f"trunk.{suffix}")
    count, described = extract_trunk(str(tmp_path / "model.pth"), path)
    content = read_checkpoint(path)
    assert count == len(content["model"]) == 265
    assert content["trunk"] == described == describe_trunk(cfg)
    target = Holder(cfg)
    TextCheckpointer(target, cfg=cfg).load(path)
    assert_same_outputs(target.outputs, source.outputs)


def test_unknown_or_missing_trunks_are_refused(tmp_path):
    cfg = trunk_cfg()
    with pytest.raises(CheckpointError, match="no ResNet"):
        save_trunk({"a": torch.ones(1)}, describe_trunk(cfg), str(tmp_path / "a.pth"))
    with pytest.raises(CheckpointError, match=r"\.pth or \.safetensors"):
        save_trunk(Holder(cfg).state_dict(), describe_trunk(cfg), str(tmp_path / "a.bin"))
    torch.save(dict(Holder(cfg).state_dict()), tmp_path / "plain.pth")
    with pytest.raises(CheckpointError, match="name the config"):
        extract_trunk(str(tmp_path / "plain.pth"), str(tmp_path / "a.pth"))


@pytest.mark.parametrize("name", ["retinanet_R_50_FPN", "mask_rcnn_R_50_FPN"])
@pytest.mark.parametrize("loader", [DetectionCheckpointer, TextCheckpointer])
def test_trunk_computes_the_same_in_detectron2s_own_models(tmp_path, name, loader):
    source_cfg = trunk_cfg(STEM_OUT_CHANNELS=64, RES2_OUT_CHANNELS=256, WIDTH_PER_GROUP=64)
    source = randomize(Holder(source_cfg))
    path = str(tmp_path / "trunk.pth")
    save_trunk(source.state_dict(), describe_trunk(source_cfg), path)

    cfg = get_detectron2_cfg()  # without the keys of this project
    file = REPOSITORY / "configs" / "detectron2" / f"{name}.yaml"
    cfg.merge_from_file(str(file), allow_unsafe=False)
    cfg.MODEL.DEVICE = "cpu"
    model = build_model(cfg)
    extra = {"cfg": cfg} if loader is TextCheckpointer else {}
    loader(model, **extra).load(path)
    model.eval()
    assert model.backbone.bottom_up.res3[0].conv2.stride == (2, 2)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert_same_outputs(model.backbone.bottom_up, source.outputs, images)
    assert torch.allclose(model.pixel_mean.flatten(), torch.tensor(source_cfg.MODEL.PIXEL_MEAN))
    assert cfg.INPUT.FORMAT == source_cfg.INPUT.FORMAT


def test_detectron2s_own_frozen_default_takes_it_too(tmp_path):
    """FrozenBN and freezing, with the stride set: the rest of its defaults stay."""
    cfg = trunk_cfg()
    source = randomize(Holder(cfg))
    path = str(tmp_path / "trunk.pth")
    save_trunk(source.state_dict(), describe_trunk(cfg), path)
    model = Holder(trunk_cfg(NORM="FrozenBN"))
    DetectionCheckpointer(model).load(path)
    assert_same_outputs(model.outputs, source.outputs)


def run_tool(monkeypatch, name, *arguments):
    path = REPOSITORY / "tools" / name
    monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(path), run_name="__main__")


def test_the_tool_writes_a_trunk(tmp_path, monkeypatch, capsys):
    cfg = trunk_cfg()
    TextCheckpointer(Holder(cfg), str(tmp_path), cfg=cfg).save("model")
    target = tmp_path / "trunk.pth"
    run_tool(monkeypatch, "extract_trunk.py", tmp_path / "model.pth", target)
    printed = capsys.readouterr().out
    assert "265 tensors" in printed and "stride_in_1x1: False" in printed
    assert read_checkpoint(str(target))["trunk"] == describe_trunk(cfg)


def test_the_tool_revives_norms(tmp_path, monkeypatch, capsys):
    cfg = trunk_cfg()
    source = Holder(cfg)
    torch.save(dict(source.state_dict()), tmp_path / "folded.pth")
    (tmp_path / "cfg.yaml").write_text(cfg.dump())
    image = np.random.RandomState(0).randint(0, 255, (80, 80, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    target = tmp_path / "trunk.pth"
    arguments = [tmp_path / "folded.pth", tmp_path, target, "--config-file", tmp_path / "cfg.yaml"]
    run_tool(monkeypatch, "reestimate_norms.py", *arguments, "--size", 64, "SEED", 1)
    assert "53 norms" in capsys.readouterr().out
    content = read_checkpoint(str(target))
    assert content["trunk"] == describe_trunk(cfg)
    assert content["model"]["backbone.bottom_up.stem.conv1.norm.running_mean"].abs().max() > 0
    revived = Holder(cfg)
    TextCheckpointer(revived, cfg=cfg).load(str(target))
    assert_same_outputs(revived.outputs, source.outputs)
