"""TextSnake's head: losses by hand, on the batches that break naive ones, its config."""

import math

import pytest
import torch
from detectron2.layers import ShapeSpec
from helpers.detectors import detector_cfg

from vlpt_d2.engine import load_config
from vlpt_d2.modeling.detection import build_text_head

SHAPES = {f"res{i + 2}": ShapeSpec(channels=8, stride=4 * 2**i) for i in range(4)}


def head_and_features():
    head = build_text_head(detector_cfg("TextSnakeHead"), SHAPES)
    return head, {n: torch.randn(2, 8, 64 // s.stride, 96 // s.stride) for n, s in SHAPES.items()}


def targets(size=(32, 48), batch=2):
    maps = {name: torch.zeros(batch, *size, dtype=torch.uint8) for name in ("text", "centre")}
    maps["text_mask"] = torch.ones(batch, *size, dtype=torch.uint8)
    return maps | {"geometry": torch.zeros(batch, 3, *size, dtype=torch.float16)}


def test_losses_by_hand():
    head, _ = head_and_features()
    head.upsample = head.output = torch.nn.Identity()
    maps = targets((1, 4), 1)
    # A pixel of the centre line, one of the text, one ignored text, one of the ground.
    maps["text"][0, 0] = torch.tensor([1, 1, 1, 0])
    maps["text_mask"][0, 0, 2] = 0
    maps["centre"][0, 0, 0] = maps["centre"][0, 0, 2] = 1
    maps["geometry"][0, :, 0, 0] = torch.tensor([8.0, 0.6, 0.8])
    logits = torch.tensor([[1.0, 2.0, 5.0, -1.0], [0.5, -0.5, 3.0, 3.0], [0.0, 1, 1, 1],
                           [2.0, 1, 1, 1], [0.0, 1, 1, 1]])[None, :, None]  # fmt: skip
    losses = head.losses(logits, maps)

    def bce(logit, target):
        return math.log(1 + math.exp(-logit if target else logit))

    text = (bce(1, 1) + bce(2, 1) + bce(-1, 0)) / 3
    centre = (bce(0.5, 1) + bce(-0.5, 0)) / 2
    # softplus(0) is the unit of 16 px, twice the true radius: |1| - 0.5.
    radius, direction = 0.5, 0.5 * 0.4**2 + 0.5 * 0.8**2
    expected = {"text": text, "centre": centre, "radius": radius, "direction": direction}
    assert {n: v.item() for n, v in losses.items()} == pytest.approx(
        {f"loss_{n}": v for n, v in expected.items()}, rel=1e-3
    )


@pytest.mark.parametrize("case", ["no text", "all ignored", "one pixel"])
@pytest.mark.parametrize("autocast", [False, True])
def test_losses_and_gradients_are_finite(case, autocast):
    head, features = head_and_features()
    maps = targets()
    if case != "no text":
        maps["text"][0, 10, 10] = maps["centre"][0, 10, 10] = 1
        maps["geometry"][0, :, 10, 10] = torch.tensor([0.7, 1.0, 0.0])
    if case == "all ignored":
        maps["text_mask"].zero_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        losses = head.train()(features, maps)
    total = sum(losses.values())
    total.backward()
    assert total.dtype == torch.float32 and torch.isfinite(total)
    assert all(p.grad.isfinite().all() for p in head.parameters())
    assert (losses["loss_radius"] > 0) == (case == "one pixel")


def test_maps_have_half_the_size_and_a_fresh_head_sees_little():
    head, features = head_and_features()
    maps = head.eval()(features)
    assert {n: tuple(m.shape) for n, m in maps.items()} == {
        "text": (2, 1, 32, 48), "centre": (2, 1, 32, 48), "geometry": (2, 3, 32, 48),
    }  # fmt: skip
    radius, cos, sin = maps["geometry"].unbind(1)
    assert radius.min() > 0
    torch.testing.assert_close(cos.square() + sin.square(), torch.ones_like(cos))
    assert maps["text"].mean() < 0.3 and maps["centre"].mean() < 0.3


def test_the_head_needs_stride_four():
    coarser = {n: ShapeSpec(channels=8, stride=2 * s.stride) for n, s in SHAPES.items()}
    with pytest.raises(ValueError, match="stride 8"):
        build_text_head(detector_cfg("TextSnakeHead"), coarser)


@pytest.mark.parametrize(
    ("dataset", "centre", "output"),
    [("icdar2015", 0.9, "box"), ("total_text", 0.6, "polygon"), ("ctw1500", 0.5, "polygon")],
)
def test_published_thresholds(dataset, centre, output):
    """Section 4.3 of the paper."""
    cfg = load_config(f"detection/{dataset}/textsnake_R_50.yaml")
    assert output == cfg.MODEL.TEXT_HEAD.OUTPUT
    assert centre == cfg.MODEL.TEXTSNAKE.CENTRE_THRESH
