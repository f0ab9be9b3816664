"""Adaptive scale fusion: by hand, by its shapes, and as the neck of a detector that trains."""

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_model
from helpers.detectors import detector_cfg, text_sample

from vlpt_d2.modeling.detection.db.neck import DBNeck
from vlpt_d2.modeling.detection.db.scale_fusion import AdaptiveScaleFusion

SHAPES = [ShapeSpec(channels=6, stride=4 * 2**i) for i in range(4)]


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def test_by_hand():
    """One pixel: every convolution is a product."""
    fusion = AdaptiveScaleFusion(8, 2)
    levels = [torch.tensor([1.0, -2.0, 0.5, 3.0]), torch.tensor([0.1, 0.2, 0.3, 0.4])]
    with torch.no_grad():
        fusion.reduce.bias.copy_(torch.tensor([0.3, -0.1]))
        found = fusion([level.view(1, 4, 1, 1) for level in levels])

        def product(conv, x):
            taps = conv.weight.shape[-1] // 2
            return conv.weight[:, :, taps, taps] @ x + (0 if conv.bias is None else conv.bias)

        x = product(fusion.reduce, torch.cat(levels))
        squeeze, excite = fusion.channel_attention[1], fusion.channel_attention[3]
        x = x + sigmoid(product(excite, product(squeeze, x).relu()))
        first, second = fusion.pixel_attention[0], fusion.pixel_attention[2]
        x = x + sigmoid(product(second, product(first, x.mean()[None]).relu()))
        weights = sigmoid(product(fusion.level_attention[0], x))
        expected = torch.cat([weights[0] * levels[0], weights[1] * levels[1]])
    torch.testing.assert_close(found.flatten(), expected)


def test_channels_see_the_image_and_pixels_their_surroundings():
    fusion = AdaptiveScaleFusion(128, 4)
    levels = [torch.rand(1, 32, 12, 12) for _ in range(4)]
    changed = [level.clone() for level in levels]
    changed[0][..., 0, 0] += 5.0
    with torch.no_grad():
        one, other = fusion(levels), fusion(changed)
        # Through the mean over the image, everywhere; near the change, much more.
        assert (one - other)[..., 8:, 8:].abs().max() > 0
        assert (one - other)[..., 1:3, 1:3].abs().max() > 3 * (one - other)[..., 8:, 8:].abs().max()
        # Weights lie in (0, 1]: no level changes its sign or grows.
        ratio = one / torch.cat(levels, dim=1)
    assert ratio.min() > 0 and ratio.max() <= 1
    # All channels of a level share their weight.
    torch.testing.assert_close(ratio[:, :32], ratio[:, :1].expand(1, 32, 12, 12))


@pytest.mark.parametrize("size", [(64, 96), (37, 130), (4, 4)])
def test_neck_shapes_and_choice(size):
    features = [torch.randn(2, 6, *(-(-s // (4 * 2**i)) for s in size)) for i in range(4)]
    plain, adaptive = DBNeck(SHAPES, 32), DBNeck(SHAPES, 32, "adaptive")
    assert plain(features).shape == adaptive(features).shape == (2, 32, *features[0].shape[-2:])
    extra = adaptive.state_dict().keys() - plain.state_dict().keys()
    assert extra and all(name.startswith("scale_fusion.") for name in extra)
    with pytest.raises(ValueError, match=r"SCALE_FUSION.*'mean'"):
        DBNeck(SHAPES, 32, "mean")


def test_it_trains():
    cfg = detector_cfg("DBHead", "tiny", MODEL__DB__SCALE_FUSION="adaptive")
    model = build_model(cfg)
    sum(model([text_sample(cfg)]).values()).backward()
    fusion = model.text_head.neck.scale_fusion
    assert all(p.grad.isfinite().all() and p.grad.any() for p in fusion.parameters())
