"""Deformable convolutions: a slow reference, plain weights, gradients, both kinds of block."""

import logging
import math

import pytest
import torch
from detectron2.layers import Conv2d

from tests.checkpoint.trunks import Holder, assert_same_outputs, randomize, trunk_cfg
from vlpt_d2.checkpoint import CheckpointError, TextCheckpointer
from vlpt_d2.modeling.backbone import DeformConv2d

DEFORMABLE = {"DEFORM_ON_PER_STAGE": [False, True, True, True], "DEFORM_MODULATED": True}
R_18 = {"DEPTH": 18, "STEM_OUT_CHANNELS": 64, "RES2_OUT_CHANNELS": 64}


def bilinear(image, y, x):
    """Value between four pixels; beyond the image all are 0."""
    height, width = image.shape
    value = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                value += (1 - abs(y - row)) * (1 - abs(x - column)) * image[row, column].item()
    return value


def slow(layer, x):
    """Each output as the sum over channels and taps, one after the other (DCNv2 eq. 1)."""
    offset = layer.offset(x)[0]
    out = torch.zeros(layer.out_channels, *offset.shape[1:])
    channels = layer.in_channels // layer.groups
    filters = layer.out_channels // layer.groups
    for o in range(layer.out_channels):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                for c in range(channels):
                    source = x[0, o // filters * channels + c]
                    for tap in range(9):
                        dy, dx = offset[2 * tap, i, j].item(), offset[2 * tap + 1, i, j].item()
                        m = 2 / (1 + math.exp(-offset[18 + tap, i, j].item()))
                        y = i * layer.stride[0] - 1 + tap // 3 + dy
                        z = j * layer.stride[1] - 1 + tap % 3 + dx
                        weight = layer.weight[o, c, tap // 3, tap % 3].item()
                        out[o, i, j] += weight * m * bilinear(source, y, z)
    return out


@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 1), (1, 2)])
def test_equal_to_the_slow_sum(stride, groups):
    plain = Conv2d(4, 2, 3, stride=stride, padding=1, groups=groups, bias=False)
    layer = DeformConv2d(plain)
    torch.nn.init.normal_(layer.offset.weight, std=0.3)
    torch.nn.init.normal_(layer.offset.bias)
    x = torch.randn(1, 4, 5, 6)
    with torch.no_grad():
        torch.testing.assert_close(layer(x)[0], slow(layer, x), rtol=1e-4, atol=1e-4)
        assert not torch.allclose(layer(x), plain(x), atol=0.1)


def test_positions_are_those_of_float32_under_autocast():
    layer = DeformConv2d(Conv2d(4, 2, 3, padding=1, bias=False))
    torch.nn.init.normal_(layer.offset.weight, std=0.5)
    x = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        expected = layer(x)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(layer(x), expected, rtol=0, atol=0)


@pytest.mark.parametrize("depth", [R_18, {}], ids=["basic blocks", "bottlenecks"])
def test_plain_weights_give_the_plain_outputs(depth, tmp_path, caplog):
    plain = Holder(trunk_cfg(**depth))
    randomize(plain)
    path = tmp_path / "plain.pth"
    cfg = trunk_cfg(**depth)
    TextCheckpointer(plain, str(tmp_path), cfg=cfg).save("plain")
    cfg = trunk_cfg(**depth, **DEFORMABLE)
    deformable = Holder(cfg)
    with caplog.at_level(logging.INFO, "vlpt_d2"):
        TextCheckpointer(deformable, cfg=cfg).load(str(path), checkpointables=[])
    assert_same_outputs(deformable.outputs, plain.outputs)
    layers = [m for m in deformable.modules() if isinstance(m, DeformConv2d)]
    assert len(layers) == (6 if depth else 13)
    assert f"{2 * len(layers)} tensors of deformable convolutions' offsets are new" in caplog.text
    assert "not in the file" not in caplog.text
    stages = deformable.backbone.bottom_up
    assert not any(isinstance(m, DeformConv2d) for m in stages.res2.modules())


def test_deformable_weights_are_not_read_as_plain_ones(tmp_path):
    cfg = trunk_cfg(**DEFORMABLE)
    model = randomize(Holder(cfg))
    torch.nn.init.normal_(model.backbone.bottom_up.res4[0].conv2.offset.weight, std=0.2)
    TextCheckpointer(model, str(tmp_path), cfg=cfg).save("deformable")
    path = str(tmp_path / "deformable.pth")
    with pytest.raises(CheckpointError, match="deformable in the file.*DEFORM_ON_PER_STAGE"):
        TextCheckpointer(Holder(trunk_cfg()), cfg=trunk_cfg()).load(path, checkpointables=[])
    same = Holder(cfg)
    TextCheckpointer(same, cfg=cfg).load(path, checkpointables=[])
    assert_same_outputs(same.outputs, model.outputs)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("depth", [R_18, {}], ids=["basic blocks", "bottlenecks"])
def test_offsets_learn(depth, autocast):
    model = Holder(trunk_cfg(**depth, **DEFORMABLE))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        maps = model.backbone(torch.randn(2, 3, 64, 64))
    sum(m.float().square().mean() for m in maps.values()).backward()
    layers = [m for m in model.modules() if isinstance(m, DeformConv2d)]
    for layer in layers:
        for parameter in (layer.weight, layer.offset.weight, layer.offset.bias):
            assert parameter.grad.isfinite().all() and parameter.grad.any()


def test_frozen_stages_stay_frozen():
    cfg = trunk_cfg(**DEFORMABLE)
    cfg.MODEL.BACKBONE.FREEZE_AT = 3
    res = Holder(cfg).backbone.bottom_up
    assert not any(p.requires_grad for p in res.res3.parameters())
    assert all(p.requires_grad for p in res.res4[0].conv2.offset.parameters())


def test_unmodulated_groups_and_wrong_flags():
    plain = Conv2d(4, 4, 3, padding=1, bias=False)
    layer = DeformConv2d(plain, modulated=False, offset_groups=2)
    assert layer.offset.out_channels == 36
    x = torch.randn(1, 4, 6, 6)
    torch.testing.assert_close(layer(x), plain(x), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"DEFORM_ON_PER_STAGE has 3 entries"):
        Holder(trunk_cfg(DEFORM_ON_PER_STAGE=[True] * 3))
