"""CRAFT's head and losses: by hand, and on the batches that break naive ones."""

import pytest
import torch
from detectron2.layers import ShapeSpec

from vlpt_d2.config import get_cfg
from vlpt_d2.modeling.detection import build_text_head
from vlpt_d2.modeling.detection.craft.head import balanced_square_loss

SHAPES = {f"res{i}": ShapeSpec(channels=4 * i, stride=2**i) for i in (2, 3, 4, 5)}
SIZE = (64, 96)


def cfg():
    cfg = get_cfg()
    cfg.MODEL.TEXT_HEAD.NAME = "CRAFTHead"
    return cfg


@pytest.fixture(scope="module")
def head():
    torch.manual_seed(0)
    return build_text_head(cfg(), SHAPES)


def features():
    sides = {name: (SIZE[0] // s.stride, SIZE[1] // s.stride) for name, s in SHAPES.items()}
    return {name: torch.randn(2, s.channels, *sides[name]) for name, s in SHAPES.items()}


def targets(case):
    maps = {name: torch.zeros(2, 32, 48) for name in ("region", "affinity")}
    maps["weight"] = torch.ones(2, 32, 48)
    if case != "no text":
        maps["region"][0, 10:14, 8:20] = 0.8
        maps["affinity"][0, 12, 13:15] = 0.9
    if case == "all ignored":
        maps["weight"].zero_()
    return maps


def test_maps_are_half_as_large_as_the_image_and_within_their_range(head):
    torch.nn.init.normal_(head.scores[-1].weight, std=3)
    maps = head.eval()(features())
    torch.nn.init.normal_(head.scores[-1].weight, std=0.01)
    assert {name: m.shape for name, m in maps.items()} == {
        "region": (2, 1, 32, 48),
        "affinity": (2, 1, 32, 48),
    }
    assert all(m.min() == 0 and m.max() == 1 for m in maps.values())


def test_a_map_of_another_stride():
    config = cfg()
    config.MODEL.TEXT_HEAD.IN_FEATURES = ["res3", "res4", "res5"]
    with pytest.raises(ValueError, match="stride 8: put a map of stride 4"):
        build_text_head(config, SHAPES)


@pytest.mark.parametrize("case", ["no text", "all ignored", "text"])
@pytest.mark.parametrize("autocast", [False, True])
def test_losses_are_finite(head, case, autocast):
    head.train().zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        losses = head(features(), targets(case))
    assert losses.keys() == {"loss_region", "loss_affinity"}
    total = sum(losses.values())
    total.backward()
    assert total.dtype == torch.float32 and torch.isfinite(total)
    assert all(p.grad.isfinite().all() for p in head.parameters())
    assert (total > 0) == (case != "all ignored")


def test_loss_by_hand():
    target = torch.zeros(2, 1, 8)
    target[0, 0, 0] = 1.0
    target[0, 0, 1] = 0.05  # ground
    weight = torch.ones(2, 1, 8)
    weight[0, 0, 0], weight[0, 0, 7] = 0.5, 0
    prediction = torch.zeros(2, 1, 8)
    prediction[0, 0] = torch.tensor([0.6, 0.05, 0.1, 0.2, 0.3, 0.4, 0.0, 9.0])
    prediction[1, 0, 0] = 0.4
    # The first: 0.5 * 0.4^2, and the three hardest of the ground; the second: all its ground.
    first = 0.5 * 0.16 + (0.04 + 0.09 + 0.16) / 3
    second = 0.16 / 8
    loss = balanced_square_loss(prediction, target, weight)
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-5)
