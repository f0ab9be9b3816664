"""EAST's neck, head and losses: by hand, on the batches that break naive ones, an overfit."""

import math

import numpy as np
import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_model
from helpers.detectors import detector_cfg, text_sample

from vlpt_d2.config import get_cfg
from vlpt_d2.modeling.detection import build_label_function, build_text_head
from vlpt_d2.modeling.detection.east.losses import (
    angle_loss,
    class_balanced_bce_loss,
    rectangle_iou_loss,
)
from vlpt_d2.modeling.detection.east.neck import EASTNeck
from vlpt_d2.modeling.detection.losses import mean_over_text
from vlpt_d2.structures import TextInstances

CHANNELS = {"res2": 8, "res3": 12, "res4": 16, "res5": 20}
SHAPES = {
    name: ShapeSpec(channels=c, stride=4 * 2**i) for i, (name, c) in enumerate(CHANNELS.items())
}


def head_cfg(**opts):
    cfg = get_cfg()
    cfg.MODEL.TEXT_HEAD.NAME = "EASTHead"
    cfg.MODEL.EAST.NECK_CHANNELS = (16, 12, 8)
    for key, value in opts.items():
        cfg.MODEL.EAST[key] = value
    return cfg


def features(size=(64, 96), batch=2):
    return {
        name: torch.randn(batch, c, *(-(-s // (4 * 2**i)) for s in size))
        for i, (name, c) in enumerate(CHANNELS.items())
    }


def targets(case, size=(16, 24), batch=2):
    maps = {
        "text": torch.zeros(batch, *size, dtype=torch.uint8),
        "text_mask": torch.ones(batch, *size, dtype=torch.uint8),
        "geometry": torch.zeros(batch, 5, *size),
    }
    if case != "no text":
        maps["text"][0, 5, 7] = 1
        maps["geometry"][0, :, 5, 7] = torch.tensor([6.0, 20.0, 8.0, 10.0, 0.2])
    if case == "all ignored":
        maps["text_mask"].zero_()
    return maps


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (37, 130), (4, 4)])
def test_neck_on_odd_sizes(size):
    neck = EASTNeck(list(SHAPES.values()), (16, 12, 8))
    levels = list(features(size).values())
    assert neck(levels).shape == (2, 8, *levels[0].shape[-2:])
    assert neck.out_channels == 8 and neck.stride == 4
    with pytest.raises(ValueError, match="NECK_CHANNELS .* 3 numbers"):
        EASTNeck(list(SHAPES.values()), (16, 12))


def test_neck_by_hand():
    """With kernels that copy, the output is the upsampled coarse map plus the fine one."""
    neck = EASTNeck([ShapeSpec(channels=1, stride=4), ShapeSpec(channels=1, stride=8)], (1,), "")
    convs = [m for m in neck.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [conv.kernel_size[0] for conv in convs] == [1, 3, 3]
    for conv in convs:
        torch.nn.init.zeros_(conv.weight)
        conv.weight.data[:, :, conv.kernel_size[0] // 2, conv.kernel_size[1] // 2] = 1
    fine, coarse = torch.rand(1, 1, 4, 6), torch.rand(1, 1, 2, 3)
    up = torch.nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(neck([fine, coarse]), up + fine)


def test_published_width():
    cfg = head_cfg(NECK_CHANNELS=(128, 64, 32))
    convs = [m for m in build_text_head(cfg, SHAPES).modules() if isinstance(m, torch.nn.Conv2d)]
    widths = [(c.in_channels, c.out_channels, c.kernel_size[0]) for c in convs]
    assert widths == [
        (20 + 16, 128, 1), (128, 128, 3), (128 + 12, 64, 1), (64, 64, 3), (64 + 8, 32, 1),
        (32, 32, 3), (32, 32, 3), (32, 6, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("angle_range", [45, 90])
def test_maps_and_their_ranges(angle_range):
    head = build_text_head(head_cfg(ANGLE_RANGE=angle_range, DISTANCE_SCALE=100.0), SHAPES).eval()
    torch.nn.init.normal_(head.output.weight, std=30)
    maps = head(features())
    assert maps.keys() == {"score", "geometry"}
    assert maps["score"].shape == (2, 1, 16, 24) and maps["geometry"].shape == (2, 5, 16, 24)
    assert maps["score"].min() >= 0 and maps["score"].max() <= 1
    distances, angles = maps["geometry"][:, :4], maps["geometry"][:, 4].rad2deg()
    assert distances.min() < 1 and 99 < distances.max() <= 100 and distances.min() >= 0
    assert angle_range - 1 < angles.max() <= angle_range + 1e-3
    assert -angle_range - 1e-3 <= angles.min() < -angle_range + 1


def test_an_untrained_head_predicts_little_text_and_upright_words():
    head = build_text_head(head_cfg(), SHAPES).eval()
    torch.nn.init.zeros_(head.output.weight)
    maps = head(features())
    torch.testing.assert_close(maps["score"], torch.full_like(maps["score"], 0.005))
    geometry = maps["geometry"]
    torch.testing.assert_close(geometry[:, :4], torch.full_like(geometry[:, :4], 32.0))
    assert geometry[:, 4].abs().max() < 1e-6


def test_iou_loss_by_hand():
    # A cell 10, 30, 10, 10 from the sides: 20 x 40. Predicted 5, 20, 15, 20: 20 x 40. They share
    # (5 + 10) x (20 + 10) = 450 of 1600 - 450 = 1150.
    target = torch.tensor([10.0, 30.0, 10.0, 10.0]).view(1, 4, 1, 1)
    distances = torch.tensor([5.0, 20.0, 15.0, 20.0]).view(1, 4, 1, 1)
    loss = rectangle_iou_loss(distances, target)
    assert loss.shape == (1, 1, 1)
    assert loss.item() == pytest.approx(-math.log(451 / 1151))
    assert rectangle_iou_loss(target, target).item() == pytest.approx(0, abs=1e-6)


def test_angle_loss_by_hand():
    angles, target = torch.tensor([0.1, -0.3, 0.5]), torch.tensor([0.1, 0.3, 0.5 - math.pi])
    expected = torch.tensor([0.0, 1 - math.cos(0.6), 2.0])
    torch.testing.assert_close(angle_loss(angles, target), expected)


def test_class_balanced_bce_by_hand():
    logits = torch.tensor([[2.0, -1.0, 0.5, -3.0, 9.0]])
    target = torch.tensor([[1, 0, 0, 0, 0]], dtype=torch.uint8)
    mask = torch.tensor([[1, 1, 1, 1, 0]], dtype=torch.uint8)
    positive = -math.log(1 / (1 + math.exp(-2)))
    negative = sum(math.log1p(math.exp(x)) for x in (-1.0, 0.5, -3.0))
    expected = (positive + negative / 3) / 2
    assert class_balanced_bce_loss(logits, target, mask).item() == pytest.approx(expected, rel=1e-5)


def test_mean_over_text_cells():
    loss = torch.tensor([1.0, 3.0, 100.0, torch.inf])
    text = torch.tensor([True, True, False, False])
    assert mean_over_text(loss, text).item() == pytest.approx(2.0, rel=1e-5)
    assert mean_over_text(loss, text & False).item() == 0


@pytest.mark.parametrize("score_loss", ["dice", "balanced_bce", "hard_bce"])
def test_loss_weights(score_loss):
    """The head's losses of one text cell and one ignored one, from its predictions by hand."""
    head = build_text_head(head_cfg(SCORE_LOSS=score_loss), SHAPES)
    maps = targets("no text", (2, 2), 1)
    maps["text"][0, 0] = 1
    maps["text_mask"][0, 0, 1] = 0
    maps["geometry"][0, :, 0, 0] = torch.tensor([6.0, 20.0, 8.0, 10.0, 0.2])
    logits = torch.randn(1, 6, 2, 2)
    head.output = torch.nn.Identity()
    losses = head.losses(logits, maps)
    p = logits[0, 0].sigmoid()
    if score_loss == "dice":
        score = 1 - 2 * p[0, 0] / (p[0, 0] + p[1].sum() + 1)
    elif score_loss == "balanced_bce":
        score = -0.5 * (p[0, 0].log() + (1 - p[1]).log().mean())
    else:  # The two cells without text are fewer than three.
        score = -(p[0, 0].log() + (1 - p[1]).log().sum()) / 3
    torch.testing.assert_close(losses["loss_score"], score, rtol=1e-4, atol=1e-5)
    d = (logits[0, 1:5, 0, 0].sigmoid() * 512).tolist()
    t = (6.0, 20.0, 8.0, 10.0)
    m = [min(pair) for pair in zip(d, t)]
    shared = (m[0] + m[2]) * (m[1] + m[3])
    union = (d[0] + d[2]) * (d[1] + d[3]) + (t[0] + t[2]) * (t[1] + t[3]) - shared
    expected = math.log((union + 1) / (shared + 1))
    assert losses["loss_iou"].item() == pytest.approx(expected, rel=1e-4)
    angle = (torch.sigmoid(logits[0, 5, 0, 0]).item() - 0.5) * math.pi / 2
    expected = 10 * (1 - math.cos(angle - 0.2))
    assert losses["loss_angle"].item() == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("case", ["no text", "all ignored", "one pixel"])
@pytest.mark.parametrize("score_loss", ["dice", "balanced_bce", "hard_bce"])
@pytest.mark.parametrize("autocast", [False, True])
def test_losses_are_finite(case, score_loss, autocast):
    head = build_text_head(head_cfg(SCORE_LOSS=score_loss), SHAPES).train()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        losses = head(features(), targets(case))
    assert losses.keys() == {"loss_score", "loss_iou", "loss_angle"}
    total = sum(losses.values())
    total.backward()
    assert total.dtype == torch.float32 and torch.isfinite(total)
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())
    if case != "one pixel":
        assert losses["loss_iou"].item() == losses["loss_angle"].item() == 0
        assert not head.output.weight.grad[1:].any()
    else:
        assert head.output.weight.grad[1:].abs().sum() > 0


@pytest.mark.parametrize("value", [1e4, -1e4])
def test_extreme_logits(value):
    head = build_text_head(head_cfg(SCORE_LOSS="balanced_bce"), SHAPES).train()
    logits = torch.full((2, 6, 16, 24), value, requires_grad=True)
    head.output = torch.nn.Identity()
    total = sum(head.losses(logits, targets("one pixel")).values())
    total.backward()
    assert torch.isfinite(total) and torch.isfinite(logits.grad).all()


def test_targets_are_padded_at_their_stride():
    cfg = detector_cfg("EASTHead")
    model = build_model(cfg)
    samples = [text_sample(cfg, size) for size in ((96, 128), (93, 117), (61, 70))]
    seen = {}
    model.text_head.forward = lambda features, targets: seen.update(targets) or {}
    model(samples)
    assert seen["text"].shape == (3, 24, 32) and seen["geometry"].shape == (3, 5, 24, 32)
    assert samples[1]["targets"]["text"].shape == (24, 30)
    assert torch.equal(seen["text"][1, :, :30], samples[1]["targets"]["text"])
    assert not seen["text_mask"][1, :, 30:].any()
    assert torch.equal(seen["geometry"][2, :, :16, :18], samples[2]["targets"]["geometry"])
    assert not seen["text_mask"][2, 16:].any() and not seen["text_mask"][2, :, 18:].any()


def test_padding_does_not_change_what_is_decoded():
    cfg = detector_cfg("EASTHead")
    head = build_model(cfg).text_head
    sample = text_sample(cfg, (93, 117))
    text, geometry = sample["targets"]["text"], sample["targets"]["geometry"]
    maps = {"score": torch.ones(1, 32, 32), "geometry": torch.full((5, 32, 32), 10.0)}
    maps["score"][0, :24, :30] = text
    maps["geometry"][:, :24, :30] = geometry
    found = head.decode(maps, (93, 117))
    assert len(found.polygons) == len(found.scores) == 2
    assert found.counts["cells"] == int(text.sum())


def test_polygon_output_is_the_same_rectangles():
    cfg = head_cfg()
    cfg.MODEL.TEXT_HEAD.OUTPUT = "polygon"
    head = build_text_head(cfg, SHAPES)
    maps = text_sample(detector_cfg("EASTHead"))["targets"]
    maps = {"score": maps["text"][None].float(), "geometry": maps["geometry"]}
    boxes = build_text_head(head_cfg(), SHAPES).decode(maps, (96, 128))
    np.testing.assert_array_equal(head.decode(maps, (96, 128)).polygons, boxes.polygons)


@pytest.mark.parametrize(
    ("key", "value"),
    [("SCORE_LOSS", "focal"), ("ANGLE_RANGE", 30)],
)
def test_head_checks_its_config(key, value):
    with pytest.raises(ValueError, match=f"MODEL.EAST.{key} is one of .*{value}"):
        build_text_head(head_cfg(**{key: value}), SHAPES)


def test_head_wants_stride_four():
    cfg = head_cfg(NECK_CHANNELS=(16,))
    cfg.MODEL.TEXT_HEAD.IN_FEATURES = ["res3", "res4"]
    with pytest.raises(ValueError, match="stride 8"):
        build_text_head(cfg, SHAPES)


def test_labels_read_the_config():
    cfg = head_cfg(ANGLE_RANGE=90, MIN_TEXT_SIZE=30.0)
    quad = np.array([(40, 10), (40, 70), (16, 70), (16, 10)], np.float32)  # read downwards
    labels = build_label_function(cfg)
    assert not labels(TextInstances([quad]), (80, 80))["text"].any()
    cfg.MODEL.EAST.MIN_TEXT_SIZE = 10.0
    maps = build_label_function(cfg)(TextInstances([quad]), (80, 80))
    cells = maps["text"] > 0
    np.testing.assert_allclose(maps["geometry"][4][cells], -math.pi / 2, atol=1e-3)


def test_overfit_one_image_in_twenty_steps():
    cfg = detector_cfg("EASTHead", MODEL__EAST__DISTANCE_SCALE=128.0)
    model = build_model(cfg)
    batch = [text_sample(cfg)] * 2
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    history = []
    for _ in range(20):
        losses = model(batch)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(total.item())
    assert history[-1] < 0.25 * history[0], history
    # Batch statistics, as 20 steps are too few for running ones.
    head, seen = model.text_head, {}
    head.output.register_forward_hook(lambda *args: seen.update(logits=args[-1].detach()))
    with torch.no_grad():
        model(batch)
    text = batch[0]["targets"]["text"] > 0
    score = seen["logits"][0, 0].sigmoid()
    assert score[text].mean() > 0.8 > 0.3 > score[~text].mean()
    error = (head.geometry(seen["logits"])[0] - batch[0]["targets"]["geometry"])[:, text].abs()
    assert error[:4].mean() < 6 and error[4].mean() < 0.1
