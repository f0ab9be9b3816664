"""STKM's fusion and positions beside their formulas."""

import pytest
import torch
import torch.nn.functional as F
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_backbone
from helpers.stkm import tiny_stkm_cfg

from vlpt_d2.modeling.pretraining.stkm.image_encoder import SpatialPosition, STKMFusion

CHANNELS = (2, 3, 4, 5)
SHAPES = {f"res{i + 2}": ShapeSpec(channels=c, stride=4 * 2**i) for i, c in enumerate(CHANNELS)}


@pytest.mark.parametrize("fusion", ["pooled", "p3"])
@pytest.mark.parametrize("size", [(32, 32), (96, 160), (224, 32)])
def test_output_shapes(size, fusion):
    encoder = build_backbone(tiny_stkm_cfg(FUSION=fusion)).eval()
    out = encoder(torch.rand(2, 3, *size))["fused"]
    assert out.shape == (2, 16, size[0] // 8, size[1] // 8)
    assert encoder.output_shape()["fused"] == ShapeSpec(channels=16, stride=8)


def conv_relu(x, block):
    """A block's convolution and ReLU; its norm is none."""
    conv = block[0]
    return F.conv2d(x, conv.weight, conv.bias, padding=conv.weight.shape[-1] // 2).clamp(min=0)


@pytest.mark.parametrize("kind", ["pooled", "p3"])
def test_fusion_equals_the_written_formula(kind):
    torch.manual_seed(0)
    fusion = STKMFusion(input_shape=SHAPES, fpn_channels=6, embed_dim=7, norm="", fusion=kind)
    maps = {
        n: torch.randn(2, s.channels, 96 // s.stride, 64 // s.stride) for n, s in SHAPES.items()
    }
    c2, c3, c4, c5 = (
        conv_relu(x, lateral) for x, lateral in zip(maps.values(), fusion.neck.laterals)
    )
    s2, s3, s4 = fusion.neck.smooths
    resize = lambda x, y: F.interpolate(x, y.shape[-2:], mode="bilinear")  # noqa: E731
    p5 = c5
    p4 = conv_relu(c4 + resize(p5, c4), s4)
    p3 = conv_relu(c3 + resize(p4, c3), s3)
    p2 = conv_relu(c2 + resize(p3, c2), s2)
    if kind == "pooled":
        joined = torch.cat([p2, resize(p3, p2), resize(p4, p2), resize(p5, p2)], 1)
        convolved = conv_relu(joined, fusion.project)
        quarters = [convolved[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        expected = torch.stack(quarters).amax(0)
    else:
        halved = sum(p2[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4
        joined = torch.cat([halved, p3, resize(p4, p3), resize(p5, p3)], 1)
        expected = conv_relu(joined, fusion.project)
        assert fusion.project[0].weight.shape == (7, 24, 1, 1)
    assert expected.std() > 0.1
    torch.testing.assert_close(fusion(maps), expected)


def test_wrong_fusions_are_refused():
    options = {"fpn_channels": 4, "embed_dim": 4, "norm": "BN"}
    with pytest.raises(ValueError, match="FUSION is"):
        STKMFusion(input_shape=SHAPES, fusion="p4", **options)
    coarse = {name: SHAPES[name] for name in ("res3", "res4")}
    with pytest.raises(ValueError, match="needs a map of stride 4"):
        STKMFusion(input_shape=coarse, **options)
    STKMFusion(input_shape=coarse, fusion="p3", **options)


def test_positions_by_hand():
    module = SpatialPosition(2, "BN").eval()
    with torch.no_grad():
        module.conv.weight.copy_(torch.tensor([[3.0, 0.0], [-1.0, 2.0]])[:, :, None, None])
        module.norm.running_mean.copy_(torch.tensor([0.5, 0.0]))
        module.norm.running_var.fill_(1 - module.norm.eps)
    positions = module.positions((2, 4))[0]
    for row in range(2):
        for column in range(4):
            y, x = row / 2, column / 4
            expected = torch.tensor([3 * y - 0.5, 2 * x - y]).sigmoid()
            torch.testing.assert_close(positions[:, row, column], expected)
    torch.testing.assert_close(module(torch.ones(3, 2, 2, 4)), 1 + positions.expand(3, -1, -1, -1))


def test_positions_are_normalised_as_those_of_a_batch():
    torch.manual_seed(0)
    module = SpatialPosition(4, "BN").train()
    size = (5, 3)
    grid = torch.stack(torch.meshgrid(*(torch.arange(n) / n for n in size), indexing="ij"))
    batch = F.batch_norm(module.conv(grid.expand(6, 2, 5, 3)), None, None, training=True)
    torch.testing.assert_close(module.positions(size).expand(6, -1, -1, -1), batch.sigmoid())


def test_positions_tell_equal_places_apart():
    encoder = build_backbone(tiny_stkm_cfg()).eval()
    for parameter in encoder.fusion.parameters():
        torch.nn.init.zeros_(parameter)
    images = torch.rand(1, 3, 64, 64)
    assert not encoder.fusion(encoder.bottom_up(images)).any()
    out = encoder(images)["fused"].flatten(2)
    assert (out.amax(2) - out.amin(2)).max() >= 1e-3
