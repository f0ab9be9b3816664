"""PP-LCNetV4 as a variant of the trunk; tests/checkpoint/test_ppocr.py has what it computes."""

import pytest
import torch
from detectron2.modeling import build_model
from helpers.pretraining import make_samples, tiny_vlpt_cfg

from tests.checkpoint.trunks import Holder, trunk_cfg
from vlpt_d2.checkpoint import CheckpointError, TextCheckpointer, describe_trunk, extract_trunk

NARROW = {
    "VARIANT": "lcnet",
    "DEPTH": 13,
    "STEM_OUT_CHANNELS": 8,
    "RES2_OUT_CHANNELS": 8,
    "NORM": "",
}


@pytest.mark.parametrize("norm", ["", "BN"])
@pytest.mark.parametrize("size", [(64, 96), (65, 33), (50, 7)])
def test_maps_have_the_strides_they_say(norm, size):
    trunk = Holder(trunk_cfg(**NARROW | {"NORM": norm}))
    maps = trunk.outputs(torch.randn(2, 3, *size))
    assert list(maps) == ["res2", "res3", "res4", "res5"]
    for i, (name, shape) in enumerate(trunk.backbone.output_shape().items()):
        assert (shape.stride, shape.channels) == (4 * 2**i, 8 * 2**i)
        assert maps[name].shape == (2, shape.channels, *(-(-s // shape.stride) for s in size))


def test_as_published_it_has_as_many_weights_as_the_file():
    width = {"STEM_OUT_CHANNELS": 48, "RES2_OUT_CHANNELS": 48}
    trunk = Holder(trunk_cfg(**NARROW | width)).backbone
    # Of PP-OCRv6_det_small.onnx, up to its neck.
    assert sum(p.numel() for p in trunk.parameters()) == 2_312_448


@pytest.mark.parametrize("autocast", [False, True])
def test_every_weight_learns(autocast):
    trunk = Holder(trunk_cfg(**NARROW)).backbone
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        maps = trunk(torch.randn(2, 3, 64, 64))
    assert all(m.isfinite().all() for m in maps.values())
    sum(m.float().square().mean() for m in maps.values()).backward()
    for name, parameter in trunk.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_freezing_counts_stages_as_in_the_plain_trunk():
    cfg = trunk_cfg(**NARROW)
    cfg.MODEL.BACKBONE.FREEZE_AT = 2
    trunk = Holder(cfg).backbone.bottom_up
    assert not any(p.requires_grad for m in (trunk.stem, trunk.res2) for p in m.parameters())
    assert all(p.requires_grad for p in trunk.res3.parameters())


@pytest.mark.parametrize("checkpointing", [False, True])
def test_pre_training_learns_on_it(tmp_path, checkpointing):
    cfg = tiny_vlpt_cfg(tmp_path)
    for key, value in NARROW.items():
        cfg.MODEL.RESNETS[key] = value
    cfg.MODEL.RESNETS.STRIDE_IN_1X1 = False
    cfg.MODEL.IMAGE_ENCODER.CHECKPOINTING = checkpointing
    model = build_model(cfg)
    samples = make_samples(cfg, ["exit shop", "open sale", "taxi bar", "bus park"])
    losses = model(samples)
    assert len(losses) >= 3
    sum(losses.values()).backward()
    for name, parameter in model.backbone.bottom_up.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_trunk_files_record_what_it_is(tmp_path):
    cfg = trunk_cfg(**NARROW)
    model = Holder(cfg)
    TextCheckpointer(model, str(tmp_path), cfg=cfg).save("model")
    path, trunk = str(tmp_path / "model.pth"), str(tmp_path / "trunk.pth")
    _, described = extract_trunk(path, trunk)
    assert described == describe_trunk(cfg)
    again = Holder(cfg)
    TextCheckpointer(again, cfg=cfg).load(trunk, checkpointables=[])
    images = torch.randn(1, 3, 64, 64)
    for name, value in model.outputs(images).items():
        assert torch.equal(again.outputs(images)[name], value)
    # From the names and shapes too: another config is refused.
    with pytest.raises(CheckpointError, match="STEM_OUT_CHANNELS is 16, the file's trunk has 8"):
        extract_trunk(path, trunk, describe_trunk(trunk_cfg(**NARROW | {"STEM_OUT_CHANNELS": 16})))
    with pytest.raises(CheckpointError, match="torchvision has no PP-LCNetV4"):
        extract_trunk(path, trunk, layout="torchvision")
    plain = trunk_cfg()
    with pytest.raises(CheckpointError, match="VARIANT is plain, the file's trunk has lcnet"):
        TextCheckpointer(Holder(plain), cfg=plain).load(path, checkpointables=[])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"DEPTH": 50}, "DEPTH is 50: MODEL.RESNETS.VARIANT lcnet has a DEPTH of 13"),
        ({"STRIDE_IN_1X1": True}, "STRIDE_IN_1X1 is True"),
        ({"NUM_GROUPS": 2}, "NUM_GROUPS is 2"),
        ({"RES2_OUT_CHANNELS": 6}, "not a multiple of 4"),
        ({"DEFORM_ON_PER_STAGE": [False, True, True, True]}, "LCNetBlock has no 3x3 convolution"),
    ],
)
def test_what_it_does_not_have_is_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        Holder(trunk_cfg(**NARROW | keys))
