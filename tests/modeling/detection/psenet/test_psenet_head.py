"""PSENet's neck, head and losses by hand, odd sizes, empty targets, an overfit."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_model
from helpers.detectors import detector_cfg

from vlpt_d2.modeling.detection import build_label_function, build_text_head
from vlpt_d2.modeling.detection.psenet.neck import PSENetNeck
from vlpt_d2.structures import TextInstances

CHANNELS = {"res2": 8, "res3": 12, "res4": 16, "res5": 20}
SHAPES = {
    name: ShapeSpec(channels=c, stride=4 * 2**i) for i, (name, c) in enumerate(CHANNELS.items())
}


def small_cfg(**opts):
    return detector_cfg("PSENetHead", **{"MODEL__PSENET__NECK_CHANNELS": 16, **opts})


def features(size=(64, 96), batch=2):
    return {
        name: torch.randn(batch, c, *(-(-s // (4 * 2**i)) for s in size))
        for i, (name, c) in enumerate(CHANNELS.items())
    }


def targets(size=(64, 96), batch=2):
    return {
        "text": torch.zeros(batch, *size, dtype=torch.uint8),
        "kernels": torch.zeros(batch, 6, *size, dtype=torch.uint8),
        "text_mask": torch.ones(batch, *size, dtype=torch.uint8),
    }


def test_neck_by_hand():
    """With identities for convolutions and no norm, levels are sums of upsampled maps."""
    shapes = [ShapeSpec(channels=1, stride=s) for s in (4, 8, 16)]
    neck = PSENetNeck(shapes, 1, norm="")
    for block in (*neck.laterals, *neck.smooths):
        torch.nn.init.zeros_(block[0].weight)
        block[0].weight.data[:, :, block[0].kernel_size[0] // 2, block[0].kernel_size[1] // 2] = 1
    fine, middle, coarse = (torch.rand(2, 1, s, s + 1) for s in (12, 6, 3))

    def up(x, like):
        return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)

    # The sums go on to the finer level after they are smoothed.
    second = middle + up(coarse, middle)
    expected = torch.cat([fine + up(second, fine), up(second, fine), up(coarse, fine)], dim=1)
    torch.testing.assert_close(neck([fine, middle, coarse]), expected)
    # Every convolution is followed by a ReLU.
    assert not neck([-fine, -middle, -coarse]).any()


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (37, 130), (4, 4)])
def test_neck_on_odd_sizes(size):
    neck = PSENetNeck(list(SHAPES.values()), 16)
    maps = list(features(size).values())
    out = neck(maps)
    assert out.shape == (2, neck.out_channels, *maps[0].shape[-2:]) and neck.out_channels == 64


def test_smooth_convolutions_reach_coarser_levels():
    neck = PSENetNeck(list(SHAPES.values()), 16)
    maps = list(features().values())
    neck(maps)[:, :16].square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in neck.smooths.parameters())


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_predicted_maps(stride):
    head = build_text_head(small_cfg(MODEL__PSENET__DECODE_STRIDE=stride), SHAPES).eval()
    maps = features()
    out = head(maps)
    assert out.keys() == {"kernels"}
    assert out["kernels"].shape == (2, 7, 64 // stride, 96 // stride)
    assert 0 <= out["kernels"].min() <= out["kernels"].max() <= 1
    logits = head.kernels(head.hidden(head.neck(list(maps.values()))))
    expected = F.interpolate(logits, size=(64 // stride, 96 // stride), mode="bilinear")
    torch.testing.assert_close(out["kernels"], expected.sigmoid())


def test_decode_leaves_out_the_padding():
    for stride in (1, 4):
        head = build_text_head(small_cfg(MODEL__PSENET__DECODE_STRIDE=stride), SHAPES)
        head.decoding["min_kernel_area"] = 0.0
        maps = torch.zeros(7, 64 // stride, 96 // stride)
        maps[:, 16 // stride : 32 // stride, 8 // stride : 40 // stride] = 0.9
        maps[:, 48 // stride :] = 0.9  # padding
        maps[:, :, 80 // stride :] = 0.9
        found = head.decode({"kernels": maps}, (46, 77))
        assert len(found.polygons) == 1 and found.scores.tolist() == pytest.approx([0.9])
        assert sorted(found.polygons[0].tolist()) == [[8, 16], [8, 32], [40, 16], [40, 32]]


def losses_head():
    """A head whose losses take the logits of the maps."""
    head = build_text_head(small_cfg(), SHAPES)
    head.hidden = head.kernels = torch.nn.Identity()
    return head


def test_losses_by_hand():
    head = losses_head()
    truth = targets((2, 3), 1)
    truth["text"][0, 0, :2] = 1
    truth["kernels"][0, :, 0, 0] = 1
    truth["text_mask"][0, 1, 2] = 0
    logits = torch.tensor([[2.0, -1.0, 0.5], [1.0, -3.0, 4.0]])
    maps = torch.stack([logits, *(logits * (-1) ** i for i in range(6))])[None]
    p = torch.sigmoid(maps[0])
    # Three negatives and two positives are left in; all of them count at 3 : 1.
    inside = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])

    def dice(prediction, target, mask):
        prediction, target = prediction * mask, target * mask
        squares = (prediction**2).sum() + (target**2).sum() + 0.002
        return 1 - 2 * (prediction * target).sum() / squares

    losses = head.losses(maps, truth)
    text = dice(p[0], truth["text"][0].float(), inside)
    torch.testing.assert_close(losses["loss_text"], 0.7 * text)
    within = truth["text"][0].float()
    kernels = [dice(p[i], truth["kernels"][0, i - 1].float(), within) for i in range(1, 7)]
    torch.testing.assert_close(losses["loss_kernels"], 0.3 * torch.stack(kernels).mean())

    # Of five negatives the three hardest are kept beside one positive.
    truth["text"][0, 0, 1] = 0
    chosen = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    text = dice(p[0], truth["text"][0].float(), chosen)
    torch.testing.assert_close(head.losses(maps, truth)["loss_text"], 0.7 * text)


def test_losses_are_taken_at_full_resolution():
    head = losses_head()
    truth = targets((32, 48), 2)
    truth["text"][:, 8:24, 8:40] = 1
    truth["kernels"][:, :, 12:20, 12:36] = 1
    small = torch.randn(2, 7, 8, 12)
    full = F.interpolate(small, size=(32, 48), mode="bilinear", align_corners=False)
    for name, loss in head.losses(small, truth).items():
        torch.testing.assert_close(loss, head.losses(full, truth)[name])


@pytest.mark.parametrize("case", ["no text", "all ignored", "one pixel"])
@pytest.mark.parametrize("autocast", [False, True])
def test_losses_are_finite(case, autocast):
    head = build_text_head(small_cfg(), SHAPES)
    truth = targets()
    if case != "no text":
        truth["text"][0, 10, 10] = truth["kernels"][0, :, 10, 10] = 1
    if case == "all ignored":
        truth["text_mask"].zero_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        losses = head.train()(features(), truth)
    assert losses.keys() == {"loss_text", "loss_kernels"}
    total = sum(losses.values())
    total.backward()
    assert total.dtype == torch.float32 and torch.isfinite(total)
    gradients = [p.grad for p in head.parameters()]
    assert all(torch.isfinite(g).all() for g in gradients)
    assert any(g.any() for g in gradients) == (case == "one pixel")


def test_config_is_checked():
    for opts, match in (
        ({"MODEL__PSENET__DECODE_STRIDE": 3}, "DECODE_STRIDE"),
        ({"MODEL__PSENET__KERNELS": 1}, "KERNELS"),
        ({"MODEL__PSENET__MIN_SCALE": 1.5}, "MIN_SCALE"),
        ({"MODEL__TEXT_HEAD__OUTPUT": "quad"}, "'quad'"),
    ):
        with pytest.raises(ValueError, match=match):
            build_text_head(small_cfg(**opts), SHAPES)
    with pytest.raises(ValueError, match="MIN_SCALE"):
        build_label_function(small_cfg(MODEL__PSENET__MIN_SCALE=0.0))


def test_settings_reach_labels_and_head():
    cfg = small_cfg(MODEL__PSENET__KERNELS=3, MODEL__PSENET__MIN_SCALE=0.7)
    labels = build_label_function(cfg)
    assert labels(TextInstances([]), (8, 8))["kernels"].shape == (2, 8, 8)
    head = build_text_head(cfg, SHAPES).eval()
    assert head(features())["kernels"].shape == (2, 3, 32, 48)


def bars(labels, rng, size=(96, 128)):
    """Bright bars, two of which touch, on a dark ground, and their maps."""
    image = rng.integers(0, 60, (3, *size), dtype=np.uint8)
    polygons = []
    for x, y in ((8, 8), (68, 8), (int(rng.integers(4, 40)), 56)):
        image[:, y : y + 32, x : x + 52] += 150
        polygons.append(np.array([(x, y), (x + 52, y), (x + 52, y + 32), (x, y + 32)], float))
    maps = labels(TextInstances(polygons), size)
    return {
        "image": torch.from_numpy(image),
        "targets": {k: torch.from_numpy(v) for k, v in maps.items()},
    }


def test_overfit_two_images_in_thirty_steps():
    cfg = small_cfg(MODEL__PSENET__NECK_CHANNELS=32)
    model = build_model(cfg)
    rng = np.random.default_rng(0)
    batch = [bars(build_label_function(cfg), rng) for _ in range(2)]
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    history = []
    for _ in range(30):
        total = sum(model(batch).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(total.item())
    assert history[-1] < 0.4 * history[0], history
    # Batch statistics, as thirty steps are too few for running ones.
    seen = {}
    model.text_head.kernels.register_forward_hook(lambda *args: seen.update(logits=args[-1]))
    with torch.no_grad():
        model(batch)
    probability = F.interpolate(seen["logits"], scale_factor=4, mode="bilinear").sigmoid()
    text = torch.stack([s["targets"]["text"] for s in batch]) > 0
    kernel = torch.stack([s["targets"]["kernels"][-1] for s in batch]) > 0
    assert probability[:, 0][text].mean() > 0.8 > 0.2 > probability[:, 0][~text].mean()
    assert probability[:, -1][kernel].mean() > 0.7
    assert probability[:, -1][text & ~kernel].mean() < 0.4
