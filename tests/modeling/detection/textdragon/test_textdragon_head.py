"""TextDragon's head: losses by hand, on the batches that break naive ones, its config."""

import math

import pytest
import torch
from detectron2.layers import ShapeSpec
from helpers.detectors import detector_cfg

from vlpt_d2.engine import load_config
from vlpt_d2.modeling.detection import build_text_head

SHAPES = {f"res{i + 2}": ShapeSpec(channels=8, stride=4 * 2**i) for i in range(4)}


def head_and_features():
    head = build_text_head(detector_cfg("TextDragonHead"), SHAPES)
    return head, {n: torch.randn(2, 8, 64 // s.stride, 96 // s.stride) for n, s in SHAPES.items()}


def targets(size=(16, 24), batch=2):
    return {
        "text": torch.zeros(batch, *size, dtype=torch.uint8),
        "text_mask": torch.ones(batch, *size, dtype=torch.uint8),
        "geometry": torch.zeros(batch, 6, *size, dtype=torch.float16),
    }


def test_losses_by_hand():
    head, _ = head_and_features()
    head.output = torch.nn.Identity()
    maps = targets((1, 3), 1)
    # A cell of a centre line, one of an ignored text, one of the ground.
    maps["text"][0, 0] = torch.tensor([1, 1, 0])
    maps["text_mask"][0, 0, 1] = 0
    maps["geometry"][0, :, 0, 0] = torch.tensor([8.0, 16, 8, 16, 0.6, 0.8])
    logits = torch.zeros(1, 7, 1, 3)
    logits[0, 0, 0] = torch.tensor([1.0, 3.0, -1.0])
    logits[0, 5] = 2.0  # a direction of (1, 0); the logit 0 is a distance of 16 px
    losses = {n: v.item() for n, v in head.losses(logits, maps).items()}
    centre = math.log(1 + math.exp(-1))  # the positive and the only negative
    box = math.log((32 * 32 + 1) / (16 * 32 + 1))
    expected = {"loss_centre": centre, "loss_box": box, "loss_direction": 10 * (1 - 0.6)}
    assert {n: losses[n] for n in expected} == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("case", ["no text", "all ignored", "one cell"])
@pytest.mark.parametrize("autocast", [False, True])
def test_losses_and_gradients_are_finite(case, autocast):
    head, features = head_and_features()
    maps = targets()
    if case != "no text":
        maps["text"][0, 10, 10] = 1
        maps["geometry"][0, :, 10, 10] = torch.tensor([0.7, 0.5, 0.7, 0.5, 0.0, 1.0])
    if case == "all ignored":
        maps["text_mask"].zero_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        losses = head.train()(features, maps)
    total = sum(losses.values())
    total.backward()
    assert total.dtype == torch.float32 and torch.isfinite(total)
    assert all(p.grad.isfinite().all() for p in head.parameters())
    assert (losses["loss_box"] > 0) == (case == "one cell")


def test_a_fresh_head_sees_little_and_its_directions_are_unit_vectors():
    head, features = head_and_features()
    maps = head.eval()(features)
    assert maps["score"].shape == (2, 1, 16, 24) and maps["score"].mean() < 0.1
    distances, way = maps["geometry"].split((4, 2), dim=1)
    assert distances.min() > 0
    torch.testing.assert_close(way.square().sum(dim=1), torch.ones(2, 16, 24))


def test_the_head_needs_stride_four():
    coarser = {n: ShapeSpec(channels=8, stride=2 * s.stride) for n, s in SHAPES.items()}
    with pytest.raises(ValueError, match="stride 8"):
        build_text_head(detector_cfg("TextDragonHead"), coarser)


@pytest.mark.parametrize("dataset", ["icdar2015", "total_text", "ctw1500"])
def test_texts_are_never_mirrored(dataset):
    cfg = load_config(f"detection/{dataset}/textdragon_R_50.yaml")
    assert cfg.MODEL.TEXT_HEAD.NAME == "TextDragonHead" and cfg.INPUT.DETECTION.FLIP_PROB == 0
    assert (cfg.MODEL.TEXT_HEAD.OUTPUT == "box") == (dataset == "icdar2015")
