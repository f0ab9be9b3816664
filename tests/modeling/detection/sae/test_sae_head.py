"""SAE's neck, head and losses by hand and text by text, on the batches that break naive ones."""

import numpy as np
import pytest
import torch
from detectron2.layers import ShapeSpec
from helpers.detectors import detector_cfg
from helpers.sae_by_pixel import losses_by_text

from vlpt_d2.modeling.detection import build_text_head
from vlpt_d2.modeling.detection.sae.losses import shape_aware_losses
from vlpt_d2.modeling.detection.sae.neck import SAENeck

SHAPES = {f"res{i + 2}": ShapeSpec(channels=8, stride=4 * 2**i) for i in range(4)}


def small_head(**opts):
    return build_text_head(detector_cfg("SAEHead", MODEL__SAE__NECK_CHANNELS=8, **opts), SHAPES)


def features(size=(64, 96), batch=2):
    return {
        name: torch.randn(batch, 8, *(-(-s // shape.stride) for s in size))
        for name, shape in SHAPES.items()
    }


def test_neck_by_hand():
    """Identities for convolutions: coarse levels are added to finer ones, then the other way."""
    neck = SAENeck([ShapeSpec(channels=1, stride=s) for s in (4, 8)], 1, norm="")
    for module in neck.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.zeros_(module.weight)
            middle = module.kernel_size[0] // 2
            module.weight.data[:, :, middle, middle] = 1
    fine, coarse = torch.full((1, 1, 5, 7), 2.0), torch.full((1, 1, 3, 4), 3.0)
    embedding, segmentation = neck([fine, coarse])
    # The fine level is 2 + 3; the coarse one 3, and every other pixel of the fine one.
    expected = torch.tensor([5.0, 8.0])[None, :, None, None].expand(1, 2, 5, 7)
    torch.testing.assert_close(embedding, expected)
    torch.testing.assert_close(embedding, segmentation)
    assert neck.out_channels == 2 and embedding.shape == (1, 2, 5, 7)


def test_predicted_maps():
    head = small_head().eval()
    maps = head(features())
    assert {name: tuple(m.shape) for name, m in maps.items()} == {
        "text": (2, 1, 32, 48),
        "centre": (2, 1, 32, 48),
        "embedding": (2, 8, 32, 48),
    }
    assert all(maps[n].min() > 0 and maps[n].max() < 1 for n in ("text", "centre"))
    # Nothing but the place is seen: x and y of a cell of stride 4 in 24 columns and 16 rows.
    seen = []
    head.embedding.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    head(features())
    places = seen[0][0, -2:]
    assert places[0, 3, [0, 11, 23]].tolist() == pytest.approx([1 / 24, 0.5, 1])
    assert places[1, [0, 7, 15], 3].tolist() == pytest.approx([1 / 16, 0.5, 1])


def test_decode_leaves_out_the_padding():
    head = small_head()
    maps = {name: torch.zeros(1, 40, 48) for name in ("text", "centre")}
    maps["embedding"] = torch.zeros(8, 40, 48)
    maps["text"][0, 8:16, 4:20] = maps["centre"][0, 10:14, 8:16] = 0.9
    maps["text"][0, 25:] = maps["centre"][0, 25:] = 0.9
    found = head.decode(maps, (49, 77))
    assert len(found.polygons) == 1 and found.scores.tolist() == pytest.approx([0.9])
    assert sorted(found.polygons[0].tolist()) == [[8, 16], [8, 32], [40, 16], [40, 32]]


def test_segmentation_losses_by_hand():
    head = small_head()
    logits = torch.tensor([[2.0, -1.0, 0.5, 1.0, 4.0], [1.0, 0.0, -2.0, 3.0, 0.0]])[None, :, None]
    head.maps = lambda x: (torch.zeros(1, 8, 1, 5), logits)
    targets = {
        "text": torch.tensor([[[1, 1, 0, 0, 2]]], dtype=torch.int16),
        "centre": torch.tensor([[[1, 0, 0, 0, 1]]], dtype=torch.uint8),
        "text_mask": torch.tensor([[[1, 1, 1, 1, 0]]], dtype=torch.uint8),
    }
    losses = head.losses(None, targets | {"boxes": [[torch.zeros(2, 4)]]})
    p = logits[0, :, 0].sigmoid()

    def dice(prediction, target):
        return 1 - 2 * (prediction * target).sum() / (
            (prediction**2).sum() + (target**2).sum() + 0.002
        )

    text = dice(p[0, :4], torch.tensor([1.0, 1.0, 0.0, 0.0]))
    torch.testing.assert_close(losses["loss_text"], 0.5 * text)
    centre = dice(p[1, :2], torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(losses["loss_centre"], 0.5 * centre)
    assert losses["loss_pull"] == losses["loss_push"] == 0  # one text, of one embedding


def test_shape_aware_losses_equal_those_by_text():
    """Three images: several texts, one, none."""
    rng = np.random.default_rng(0)
    number = np.zeros((3, 20, 30), np.int16)
    number[0, 2:8, 3:20], number[0, 10:13, 5:9], number[0, 15, 15] = 1, 2, 7
    number[0, 10:12, 8:28] = 4  # over a part of the second
    number[1, 5:9, 5:25] = 300
    embedding = rng.normal(size=(3, 8, 20, 30)).astype(np.float32) * 0.4
    boxes = [torch.zeros(300, 4), torch.zeros(300, 4), torch.zeros(0, 4)]
    boxes[0][:7] = torch.tensor(
        [
            [3, 2, 20, 8],
            [5, 10, 9, 13],
            [0] * 4,
            [8, 10, 28, 12],
            [0] * 4,
            [0] * 4,
            [15, 15, 16, 16],
        ]
    )
    boxes[1][299] = torch.tensor([5, 5, 25, 9])
    pull, push = shape_aware_losses(torch.from_numpy(embedding), torch.from_numpy(number), boxes)
    expected = np.mean([losses_by_text(e, n) for e, n in zip(embedding, number)], axis=0)
    assert [pull.item(), push.item()] == pytest.approx(expected.tolist(), rel=1e-4)
    assert (expected > 0).all()


@pytest.mark.parametrize("case", ["no text", "all ignored", "one cell"])
@pytest.mark.parametrize("autocast", [False, True])
def test_losses_are_finite(case, autocast):
    head = small_head()
    targets = {
        "text": torch.zeros(2, 32, 48, dtype=torch.int16),
        "centre": torch.zeros(2, 32, 48, dtype=torch.uint8),
        "text_mask": torch.full((2, 32, 48), int(case != "all ignored"), dtype=torch.uint8),
        "boxes": [[torch.zeros(int(case != "no text"), 4)], [torch.zeros(0, 4)]],
    }
    if case != "no text":
        targets["text"][0, 9, 9] = targets["centre"][0, 9, 9] = 1
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        losses = head.train()(features(), targets)
    assert losses.keys() == {"loss_text", "loss_centre", "loss_pull", "loss_push"}
    total = sum(losses.values())
    total.backward()
    assert total.dtype == torch.float32 and torch.isfinite(total)
    gradients = [p.grad for p in head.parameters()]
    assert all(torch.isfinite(g).all() for g in gradients)
    assert any(g.any() for g in gradients) == (case == "one cell")


def test_the_finest_map_is_checked():
    cfg = detector_cfg("SAEHead", MODEL__TEXT_HEAD__IN_FEATURES=["odd"])
    with pytest.raises(ValueError, match="stride 2, which does not divide 5, the stride of 'odd'"):
        build_text_head(cfg, {"odd": ShapeSpec(channels=8, stride=5)})
