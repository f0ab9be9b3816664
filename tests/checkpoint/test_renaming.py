"""Trunks written for other projects: their models read them and compute the same."""

import logging
import runpy
import sys
from pathlib import Path

import pytest
import torch
import torchvision
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import get_cfg as get_detectron2_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_resnet_backbone
from foreign import WIDTH, ForeignResNet
from trunks import Holder, assert_same_outputs, randomize, trunk_cfg

from vlpt_d2.checkpoint import (
    EXPORT_LAYOUTS,
    CheckpointError,
    TextCheckpointer,
    describe_trunk,
    extract_trunk,
    read_checkpoint,
    save_trunk,
)

REPOSITORY = Path(__file__).resolve().parents[2]
SIZES = {"STEM_OUT_CHANNELS": WIDTH, "RES2_OUT_CHANNELS": 4 * WIDTH, "WIDTH_PER_GROUP": WIDTH}
FULL = {"STEM_OUT_CHANNELS": 64, "RES2_OUT_CHANNELS": 256, "WIDTH_PER_GROUP": 64}
CLIP = {"VARIANT": "clip"}
DEFORMABLE = {"DEFORM_ON_PER_STAGE": [False, True, True, True], "DEFORM_MODULATED": True}

# Layout, keys of MODEL.RESNETS, and the model of that project that reads the file (None: ours).
WRITTEN = [
    ("torchvision", {}, lambda: ForeignResNet("plain")),
    ("mmocr", {}, lambda: ForeignResNet("plain")),
    ("mmocr", CLIP, lambda: ForeignResNet("openmmlab")),
    ("mmocr", DEFORMABLE, lambda: ForeignResNet("plain", "mmcv")),
    ("clip", CLIP, lambda: ForeignResNet("clip")),
    ("detectron2", {}, None),
    ("detectron2", DEFORMABLE, None),
    ("vlpt_d2", CLIP, None),
]


def trunk_of(**resnets):
    cfg = trunk_cfg(**{**SIZES, **resnets})
    model = randomize(Holder(cfg))
    for name, parameter in model.named_parameters():
        if ".offset.weight" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return cfg, model


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(("layout", "resnets", "theirs"), WRITTEN)
def test_round_trip(tmp_path, layout, resnets, theirs, suffix):
    cfg, source = trunk_of(**resnets)
    path = str(tmp_path / f"trunk.{suffix}")
    count = save_trunk(source.state_dict(), describe_trunk(cfg), path, layout)
    content = read_checkpoint(path)
    assert count == len(content["model"])
    assert ("trunk" in content) == (suffix == "safetensors" or layout in ("vlpt_d2", "detectron2"))
    target = Holder(cfg)
    TextCheckpointer(target, cfg=cfg).load(path)
    for key, value in source.state_dict().items():
        if "num_batches" not in key:
            assert torch.equal(target.state_dict()[key], value), key
    if theirs is not None:
        net = theirs()
        # Strictly, but for the prefix that names the image side of CLIP.
        net.load_state_dict({k.removeprefix("visual."): v for k, v in content["model"].items()})
        assert_same_outputs(net.outputs, source.outputs)


def test_torchvisions_own_model_reads_it(tmp_path):
    cfg, source = trunk_of(**FULL)
    save_trunk(source.state_dict(), describe_trunk(cfg), str(tmp_path / "a.pth"), "torchvision")
    net = torchvision.models.resnet50(weights=None).eval()
    found = net.load_state_dict(torch.load(tmp_path / "a.pth"), strict=False)
    assert found.missing_keys == ["fc.weight", "fc.bias"] and not found.unexpected_keys
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        x = net.maxpool(net.relu(net.bn1(net.conv1(images))))
        x = net.layer4(net.layer3(net.layer2(net.layer1(x))))
        torch.testing.assert_close(source.outputs(images)["res5"], x, rtol=1e-4, atol=1e-5)


def test_detectron2s_own_resnet_reads_it_below_any_name(tmp_path):
    cfg, source = trunk_of()
    save_trunk(source.state_dict(), describe_trunk(cfg), str(tmp_path / "a.pth"), "detectron2")
    theirs = get_detectron2_cfg()
    theirs.MODEL.BACKBONE.FREEZE_AT = 0
    for key, value in {"STRIDE_IN_1X1": False, "NORM": "BN", **SIZES}.items():
        theirs.MODEL.RESNETS[key] = value
    theirs.MODEL.RESNETS.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
    model = torch.nn.Module()
    model.encoder = build_resnet_backbone(theirs, ShapeSpec(channels=3))
    DetectionCheckpointer(model).load(str(tmp_path / "a.pth"))
    model.eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert_same_outputs(model.encoder, source.outputs, images)


@pytest.mark.parametrize(
    ("layout", "resnets", "message"),
    [
        ("torchvision", CLIP, "no ResNet with CLIP's stem"),
        ("detectron2", CLIP, "no ResNet with CLIP's stem"),
        ("clip", {}, "no stem of CLIP's"),
        ("torchvision", {"STRIDE_IN_1X1": True}, "strides in the 1x1"),
        ("torchvision", DEFORMABLE, "deformable"),
        ("caffe", {}, "no layout 'caffe'; there are vlpt_d2, torchvision"),
    ],
)
def test_what_a_project_does_not_compute_is_refused(tmp_path, layout, resnets, message):
    cfg, source = trunk_of(**resnets)
    path = tmp_path / "a.pth"
    with pytest.raises(CheckpointError, match=message):
        save_trunk(source.state_dict(), describe_trunk(cfg), str(path), layout)
    assert not path.exists()


def test_the_tool_converts(tmp_path, monkeypatch, capsys):
    """From one foreign layout to another, without a config where enough is known."""
    net = randomize(ForeignResNet("plain"))
    weights = net.state_dict() | {"fc.weight": torch.ones(9, 9)}
    torch.save(weights, tmp_path / "torchvision.pth")
    tool = str(REPOSITORY / "tools" / "extract_trunk.py")
    target = str(tmp_path / "detectron2.pth")
    arguments = [str(tmp_path / "torchvision.pth"), target, "--layout", "detectron2"]
    monkeypatch.setattr(sys, "argv", [tool, *arguments])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(tool, run_name="__main__")
    printed = capsys.readouterr().out
    assert "265 tensors" in printed and "depth: 50" in printed
    assert "not known: input_format, pixel_mean, pixel_std" in printed
    model = Holder(trunk_cfg(**SIZES))
    TextCheckpointer(model, cfg=trunk_cfg(**SIZES)).load(target)
    assert_same_outputs(model.outputs, net.outputs)
    assert set(EXPORT_LAYOUTS) >= {"torchvision", "mmocr", "detectron2"}


def test_the_tool_wants_a_config_for_options(monkeypatch, capsys):
    tool = str(REPOSITORY / "tools" / "extract_trunk.py")
    monkeypatch.setattr(sys, "argv", [tool, "a.pth", "b.pth", "INPUT.FORMAT", "BGR"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(tool, run_name="__main__")
    assert "need a --config-file" in capsys.readouterr().err


@pytest.mark.parametrize("layout", ["torchvision", "mmocr"])
def test_norms_that_the_project_lacks_are_refused(tmp_path, layout):
    cfg = trunk_cfg(**SIZES)
    weights = randomize(Holder(cfg)).state_dict()
    described = describe_trunk(cfg) | {"norm": "GN"}
    with pytest.raises(CheckpointError, match="norm is GN"):
        save_trunk(weights, described, str(tmp_path / "a.pth"), layout)
    assert save_trunk(weights, described, str(tmp_path / "a.pth"), "detectron2")


def test_a_trunk_can_be_taken_for_other_pixels(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("vlpt_d2"), "propagate", True)
    caplog.set_level(logging.INFO, logger="vlpt_d2")
    cfg = trunk_cfg(**SIZES)
    source, target = str(tmp_path / "a.pth"), str(tmp_path / "b.pth")
    save_trunk(randomize(Holder(cfg)).state_dict(), describe_trunk(cfg), source)
    other = cfg.clone()
    other.INPUT.FORMAT, other.MODEL.PIXEL_STD = "BGR", [255.0] * 3
    _, described = extract_trunk(source, target, describe_trunk(other))
    assert described == describe_trunk(other) == torch.load(target)["trunk"]
    assert "MODEL.PIXEL_STD is [255.0, 255.0, 255.0], the file's trunk has" in caplog.text
    other.MODEL.RESNETS.STRIDE_IN_1X1 = True
    with pytest.raises(CheckpointError, match="STRIDE_IN_1X1 is True"):
        extract_trunk(source, target, describe_trunk(other))


def test_a_description_that_the_weights_contradict_is_refused(tmp_path):
    torch.save(randomize(ForeignResNet("clip")).state_dict(), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="VARIANT is plain, the file's trunk has clip"):
        described = describe_trunk(trunk_cfg(**SIZES))
        extract_trunk(str(tmp_path / "a.pth"), str(tmp_path / "b.pth"), described)
