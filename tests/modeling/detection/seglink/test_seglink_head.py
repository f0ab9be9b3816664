"""SegLink's neck, links and losses: by hand, and on the batches that break naive ones."""

import math

import numpy as np
import pytest
import torch
from detectron2.layers import ShapeSpec

from vlpt_d2.config import get_cfg
from vlpt_d2.modeling.detection import build_text_head
from vlpt_d2.modeling.detection.seglink.decode import STRIDES
from vlpt_d2.modeling.detection.seglink.head import link_targets

SHAPES = {f"res{i}": ShapeSpec(channels=4 * i, stride=2**i) for i in (2, 3, 4, 5)}
SIZE = (72, 104)
GRIDS = {stride: (-(-SIZE[0] // stride), -(-SIZE[1] // stride)) for stride in STRIDES}


@pytest.fixture(scope="module")
def head():
    cfg = get_cfg()
    cfg.MODEL.TEXT_HEAD.NAME = "SegLinkHead"
    torch.manual_seed(0)
    return build_text_head(cfg, SHAPES)


def features():
    return {
        name: torch.randn(2, s.channels, -(-SIZE[0] // s.stride), -(-SIZE[1] // s.stride))
        for name, s in SHAPES.items()
    }


def targets(case="no text"):
    maps = {}
    for stride, grid in GRIDS.items():
        maps[f"text_{stride}"] = torch.zeros(2, *grid, dtype=torch.int32)
        maps[f"text_mask_{stride}"] = torch.ones(2, *grid, dtype=torch.uint8)
        maps[f"geometry_{stride}"] = torch.zeros(2, 6, *grid)
        if case == "all ignored":
            maps[f"text_mask_{stride}"].zero_()
    if case != "no text":
        maps["text_16"][0, 2, 3:5] = 1
        maps["geometry_16"][0, :, 2, 3] = torch.tensor([0.1, 0, 0, 0.2, 1, 0])
    return maps


def test_levels_of_the_neck_and_the_maps(head):
    maps = head.eval()(features())
    assert head.in_features == ["res3", "res4", "res5"]
    assert list(maps) == [f"level_{stride}" for stride in STRIDES]
    for stride, grid in GRIDS.items():
        m = maps[f"level_{stride}"]
        assert m.shape == (2, 15 if stride == 8 else 19, *grid) and m.dtype == torch.float32
        assert (m[:, [0, *range(7, m.shape[1])]] - 0.5).abs().max() < 0.5
    assert {head.target_stride[name] for name in targets()} == set(STRIDES)


def test_maps_that_it_cannot_read():
    cfg = get_cfg()
    cfg.MODEL.TEXT_HEAD.NAME = "SegLinkHead"
    cfg.MODEL.TEXT_HEAD.IN_FEATURES = ["res2", "res3", "res4"]
    with pytest.raises(ValueError, match=r"strides \(8, 16, 32\), .* has \(8, 16\)"):
        build_text_head(cfg, SHAPES)


@pytest.mark.parametrize("case", ["no text", "all ignored", "text"])
@pytest.mark.parametrize("autocast", [False, True])
def test_losses_are_finite(head, case, autocast):
    head.train().zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        losses = head(features(), targets(case))
    assert losses.keys() == {"loss_segments", "loss_geometry", "loss_links"}
    total = sum(losses.values())
    total.backward()
    assert total.dtype == torch.float32 and torch.isfinite(total)
    assert all(p.grad.isfinite().all() for p in head.parameters())
    assert (total > 0) == (case == "text")


def test_maps_one_cell_wide_are_computed_in_single_precision(head):
    """In bfloat16 some CPUs make them, and the gradient of their weights, of whatever was there."""
    maps = [torch.randn(2, SHAPES[name].channels, 9 * 16 // 2**i, 1) for i, name in enumerate(
        ("res3", "res4", "res5"))]  # fmt: skip
    expected = head.neck(maps)
    with torch.autocast("cpu", torch.bfloat16):
        found = head.neck(maps)
    assert found[-1].shape[2:] == (5, 1)
    assert all(map(torch.equal, found, expected))


def test_losses_by_hand(head):
    """Two cells of one text, on level 16; every logit is 0 but one link and one number."""

    class Constant(torch.nn.Module):
        def __init__(self, stride):
            super().__init__()
            self.maps = torch.zeros(2, 15 if stride == 8 else 19, *GRIDS[stride])
            if stride == 16:
                self.maps[0, 7 + 4, 2, 3] = 2.0  # from the first of the two to the right
                self.maps[0, 1, 2, 3] = 4.0  # its x, in units of 0.1

        def forward(self, level):
            return self.maps

    outputs, head.outputs = head.outputs, torch.nn.ModuleList(map(Constant, STRIDES))
    losses = head.losses([None] * 6, targets("text"))
    head.outputs = outputs
    # 2 positives and 6 negatives, each log 2, divided by the positives.
    assert losses["loss_segments"].item() == pytest.approx(4 * math.log(2), rel=1e-5)
    # Differences of 3, 2 and 10 units in the first cell, beyond 1: |d| - 0.5; none in the second.
    assert losses["loss_geometry"].item() == pytest.approx((2.5 + 1.5 + 9.5) / 2, rel=1e-5)
    # The two links between them, of which one is at 2; and 6 negatives.
    expected = (7 * math.log(2) + math.log(1 + math.exp(-2))) / 2
    assert losses["loss_links"].item() == pytest.approx(expected, rel=1e-5)


def test_links_equal_those_of_loops():
    rng = np.random.default_rng(0)
    texts = [torch.from_numpy(rng.integers(0, 3, (2, *grid))) for grid in GRIDS.values()]
    masks = [torch.from_numpy(rng.integers(0, 2, (2, *grid))) for grid in GRIDS.values()]
    linked, learnt = link_targets(texts, masks)
    around = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
    count = 0
    for k, (text, mask) in enumerate(zip(texts, masks)):
        for image, i, j in np.ndindex(*text.shape):
            ends = [(text, mask, i + y, j + x) for y, x in around]
            if k:
                finer = texts[k - 1], masks[k - 1]
                ends += [(*finer, 2 * i + y, 2 * j + x) for y in (0, 1) for x in (0, 1)]
            for channel, (other, other_mask, y, x) in enumerate(ends):
                there = 0 <= y < other.shape[1] and 0 <= x < other.shape[2]
                same = there and text[image, i, j] == other[image, y, x] > 0
                learn = there and mask[image, i, j] and other_mask[image, y, x]
                assert linked[k][image, channel, i, j] == bool(same)
                assert learnt[k][image, channel, i, j] == bool(learn)
                count += same
    assert count > 50
