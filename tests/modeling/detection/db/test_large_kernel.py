"""PP-OCRv6's neck, and the whole mobile detector: shapes, gradients, an overfit."""

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_model
from helpers.detectors import detector_cfg, overfitted_detector, text_sample

from vlpt_d2.modeling.detection.db.large_kernel_neck import LargeKernelNeck

SHAPES = [ShapeSpec(channels=c, stride=4 * 2**i) for i, c in enumerate((8, 12, 16, 20))]
MOBILE = {"MODEL__DB__NECK": "LargeKernelNeck", "MODEL__TEXT_HEAD__NORM": ""}
NORMS = {"MODEL__RESNETS__NORM": "BN", "MODEL__TEXT_HEAD__NORM": "BN"}


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (37, 130), (4, 4)])
def test_every_level_reaches_the_output_at_the_finest_scale(size):
    neck = LargeKernelNeck(SHAPES)
    maps = [
        torch.randn(2, s.channels, *(-(-n // s.stride) for n in size), requires_grad=True)
        for s in SHAPES
    ]
    out = neck(maps)
    assert out.shape == (2, 96, -(-size[0] // 4), -(-size[1] // 4))
    assert (neck.out_channels, neck.stride) == (96, 4)
    out.square().sum().backward()
    for x in (*maps, *neck.parameters()):
        assert x.grad.isfinite().all() and x.grad.any()


def test_each_level_has_its_quarter_of_the_channels_coarse_to_fine():
    """The top-down path takes a change to its own level and to all finer ones."""
    neck = LargeKernelNeck(SHAPES, 32).eval()
    maps = [torch.randn(1, s.channels, 64 // s.stride, 64 // s.stride) for s in SHAPES]
    before = neck(maps)
    for level in range(4):
        changed = [x + 1 if i == level else x for i, x in enumerate(maps)]
        moved = (neck(changed) - before).abs().amax(dim=(0, 2, 3)) > 0
        # Of 32 channels, the first eight are those of res5.
        assert moved.tolist() == [c >= 8 * (3 - level) for c in range(32)]


def test_wrong_settings_are_told():
    with pytest.raises(ValueError, match="NECK_CHANNELS = 40 is not a multiple of 16"):
        LargeKernelNeck(SHAPES, 40)
    cfg = detector_cfg("DBHead", "LCNet", **MOBILE, MODEL__DB__SCALE_FUSION="adaptive")
    with pytest.raises(ValueError, match="SCALE_FUSION is 'adaptive': LargeKernelNeck has none"):
        build_model(cfg)
    with pytest.raises(KeyError, match="NoNeck"):
        build_model(detector_cfg("DBHead", "LCNet", MODEL__DB__NECK="NoNeck"))


@pytest.mark.parametrize("autocast", [False, True])
def test_a_step_without_norms_is_finite(autocast):
    cfg = detector_cfg("DBHead", "LCNet", **MOBILE)
    model, sample = build_model(cfg), text_sample(cfg)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        losses = model([sample, text_sample(cfg, (61, 93))])
    assert losses.keys() == {"loss_probability", "loss_threshold", "loss_binary"}
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_with_norms_the_detector_learns_two_texts_from_nothing():
    cfg = detector_cfg("DBHead", "LCNet", **MOBILE | NORMS)
    sample = text_sample(cfg, (64, 96))
    model = overfitted_detector(cfg, sample)
    with torch.no_grad():
        found = model([sample])[0]["instances"]
    # Where text_sample draws them.
    rows = sorted(found.pred_boxes.get_centers()[:, 1].tolist())
    assert rows == pytest.approx([0.3 * 64, 0.7 * 64], abs=3)
