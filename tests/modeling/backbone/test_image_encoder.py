"""Shapes, positions, statistics and memory options of the image encoder."""

import pytest
import torch
import torch.nn.functional as F
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_backbone

from vlpt_d2.config import get_cfg
from vlpt_d2.modeling.backbone import ResNetTrunk, build_resnet_trunk
from vlpt_d2.modeling.backbone.fusion import ConcatFusion, PlainFPN
from vlpt_d2.modeling.backbone.image_encoder import TOKEN_STRIDE, AttentionPooling, token_centre
from vlpt_d2.modeling.batch_norm import frozen_statistics


def tiny_cfg(depth=18, **options):
    cfg = get_cfg()
    cfg.MODEL.BACKBONE.NAME = "build_vlpt_image_encoder"
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    cfg.MODEL.RESNETS.DEPTH = depth
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 64
    cfg.MODEL.RESNETS.NORM = "BN"
    cfg.MODEL.IMAGE_ENCODER.EMBED_DIM = 48
    cfg.MODEL.IMAGE_ENCODER.FPN_CHANNELS = 16
    cfg.MODEL.IMAGE_ENCODER.DROPOUT = 0.0
    cfg.MODEL.IMAGE_ENCODER.POSITION_GRID = [4, 4]
    for key, value in options.items():
        cfg.MODEL.IMAGE_ENCODER[key] = value
    return cfg


@pytest.mark.parametrize("size", [(64, 64), (32, 96), (160, 32)])
@pytest.mark.parametrize("fusion", ["ConcatFusion", "PlainFPN"])
def test_output_shapes(size, fusion):
    encoder = build_backbone(tiny_cfg(FUSION=fusion)).eval()
    out = encoder(torch.rand(2, 3, *size))
    assert out["fused"].shape == (2, 48, size[0] // 16, size[1] // 16)
    assert out["cls"].shape == (2, 48, 1, 1)
    assert encoder.output_shape()["fused"].stride == 16
    assert encoder.size_divisibility == 32


def test_empty_batch_and_wrong_sides():
    encoder = build_backbone(tiny_cfg()).eval()
    assert encoder(torch.zeros(0, 3, 64, 32))["fused"].shape == (0, 48, 4, 2)
    with pytest.raises(ValueError, match="multiples of 32"):
        encoder(torch.rand(1, 3, 48, 64))


@pytest.mark.parametrize("depth", [18, 50])
def test_the_paper_numbers_of_tokens(depth):
    cfg = tiny_cfg(depth)
    cfg.MODEL.IMAGE_ENCODER.POSITION_GRID = [32, 32]
    cfg.MODEL.IMAGE_ENCODER.EMBED_DIM = 384
    encoder = build_backbone(cfg).eval()
    assert encoder.pooling.position.shape == (1, 1025, 384)
    # At stride 8 and 16 the fused map has the paper's S = 1024 tokens for 512 pixels.
    assert encoder.output_shape()["fused"].stride == 512 // 32


def test_trunk_keys_are_under_bottom_up():
    encoder, trunk = build_backbone(tiny_cfg()), build_resnet_trunk(tiny_cfg(), ShapeSpec(3))
    names = {k for k in encoder.state_dict() if k.startswith("bottom_up.")}
    assert names == set(trunk.state_dict())
    assert isinstance(trunk, ResNetTrunk)
    shapes = trunk.output_shape()
    assert [shapes[f].stride for f in ("res2", "res3", "res4", "res5")] == [4, 8, 16, 32]


def test_concat_fusion_equals_the_written_formula():
    shapes = {
        f"res{i + 2}": ShapeSpec(channels=c, stride=4 * 2**i) for i, c in enumerate((2, 3, 4, 5))
    }
    fusion = ConcatFusion(input_shape=shapes, fpn_channels=6, embed_dim=7)
    maps = {
        name: torch.rand(1, s.channels, 96 // s.stride, 64 // s.stride)
        for name, s in shapes.items()
    }
    c2, c3, c4, c5 = (
        torch.einsum("oc,nchw->nohw", conv.weight[:, :, 0, 0], maps[name])
        for conv, name in zip(fusion.laterals, shapes)
    )
    up = lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3)  # noqa: E731
    p5 = c5
    p4 = c4 + up(p5)
    p3 = c3 + up(p4)
    p2 = c2 + up(p3)
    size = p3.shape[-2:]
    resize = lambda x: F.interpolate(x, size, mode="bilinear", align_corners=False)  # noqa: E731
    joined = torch.cat([resize(p2), p3, resize(p4), resize(p5)], 1)[:, :, ::2, ::2]
    weight, bias = fusion.project.weight[:, :, 0, 0], fusion.project.bias
    expected = torch.einsum("oc,nchw->nohw", weight, joined) + bias[:, None, None]
    torch.testing.assert_close(fusion(maps), expected)


@pytest.mark.parametrize("fusion, stride", [(ConcatFusion, 8), (PlainFPN, 16)])
def test_tokens_lie_where_the_fusion_says(fusion, stride):
    """A map that holds the places of its own cells comes out as the places of the tokens."""
    shape = {"map": ShapeSpec(channels=1, stride=stride)}
    module = fusion(input_shape=shape, fpn_channels=1, embed_dim=1)
    for name, parameter in module.named_parameters():
        torch.nn.init.zeros_(parameter)
        if name.endswith("weight"):  # the middle tap alone
            parameter.data[:, :, parameter.shape[2] // 2, parameter.shape[3] // 2] = 1
    places = (torch.arange(128 // stride) + 0.5) * stride
    out = module({"map": places.expand(1, 1, 128 // stride, -1)})
    tokens = (torch.arange(8) + fusion.TOKEN_CENTRE) * TOKEN_STRIDE
    torch.testing.assert_close(out[0, 0], tokens.expand(8, -1))


def test_the_config_knows_where_tokens_lie():
    assert token_centre(tiny_cfg()) == 0.25
    assert token_centre(tiny_cfg(FUSION="PlainFPN")) == 0.5


def test_plain_fpn_keeps_no_unused_weights():
    shapes = {f"res{i + 2}": ShapeSpec(channels=4, stride=4 * 2**i) for i in range(4)}
    fusion = PlainFPN(input_shape=shapes, fpn_channels=6, embed_dim=7)
    maps = {name: torch.rand(1, 4, 64 // s.stride, 64 // s.stride) for name, s in shapes.items()}
    fusion(maps).sum().backward()
    assert all(p.grad is not None for p in fusion.parameters())


def test_position_table_is_interpolated():
    pooling = AttentionPooling(
        embed_dim=12, depth=1, num_heads=2, dropout=0.0, position_grid=(4, 6)
    )
    assert pooling.positions((4, 6)) is pooling.position
    with torch.no_grad():
        pooling.position[:, 1:] = torch.arange(6.0).repeat(4)[None, :, None]
    wide = pooling.positions((8, 12))
    assert wide.shape == (1, 1 + 96, 12)
    torch.testing.assert_close(wide[:, 0], pooling.position[:, 0])
    rows = wide[0, 1:, 0].unflatten(0, (8, 12))
    # A table that grows along x still does, in the middle by half a step per column.
    assert (rows.diff(dim=1) > 0).all()
    torch.testing.assert_close(rows.diff(dim=1)[:, 5], torch.full((8,), 0.5), atol=0.1, rtol=0)


def test_checkpointing_changes_neither_gradients_nor_statistics():
    torch.manual_seed(0)
    plain = build_backbone(tiny_cfg()).train()
    saving = build_backbone(tiny_cfg(CHECKPOINTING=True)).train()
    saving.load_state_dict(plain.state_dict())
    x = torch.rand(2, 3, 64, 64)
    for encoder in (plain, saving):
        out = encoder(x)
        (out["fused"].square().mean() + out["cls"].sum()).backward()
    for (name, a), b in zip(plain.named_parameters(), saving.parameters()):
        torch.testing.assert_close(a.grad, b.grad, msg=lambda m, n=name: f"{n}: {m}")
    for (name, a), b in zip(plain.named_buffers(), saving.buffers()):
        torch.testing.assert_close(a, b, msg=lambda m, n=name: f"{n}: {m}")


def test_frozen_statistics_are_restored():
    norm = torch.nn.BatchNorm2d(3).train()
    norm(torch.rand(4, 3, 2, 2))
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    with frozen_statistics(norm):
        out = norm(torch.rand(4, 3, 2, 2) + 5)
    assert abs(out.mean()) < 1e-5  # the batch's own statistics were used
    for key, value in norm.state_dict().items():
        assert torch.equal(value, before[key])
    assert norm.momentum == 0.1
