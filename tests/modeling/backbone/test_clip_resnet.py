"""CLIP's variant of the trunk: its maps, what can be combined with it, and what cannot.

That it computes what CLIP does is tested with CLIP's files, in tests/checkpoint.
"""

import pytest
import torch
from detectron2.layers import ShapeSpec
from helpers.pretraining import tiny_vlpt_cfg

from tests.checkpoint.trunks import Holder, trunk_cfg
from vlpt_d2.modeling.backbone import build_vlpt_image_encoder

CLIP = {"VARIANT": "clip", "RES2_OUT_CHANNELS": 16}
DEFORMABLE = {"DEFORM_ON_PER_STAGE": [False, True, True, True], "DEFORM_MODULATED": True}


@pytest.mark.parametrize("extra", [{}, DEFORMABLE, {"DEPTH": 101}])
def test_maps_are_those_of_the_plain_trunk_in_size(extra):
    model = Holder(trunk_cfg(**CLIP, **extra))
    maps = model.outputs(torch.randn(1, 3, 64, 96))
    for i, (name, shape) in enumerate(model.backbone.output_shape().items()):
        assert shape.stride == 4 * 2**i and shape.channels == 16 * 2**i
        assert maps[name].shape == (1, shape.channels, 64 // shape.stride, 96 // shape.stride)
    assert len(model.backbone.bottom_up.res4) == (23 if "DEPTH" in extra else 6)


def test_no_convolution_but_the_first_has_a_stride():
    model = Holder(trunk_cfg(**CLIP))
    strided = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Conv2d) and module.stride != (1, 1)
    ]
    assert strided == ["backbone.bottom_up.stem.conv1"]


def test_freezing_counts_stages_as_in_the_plain_trunk():
    cfg = trunk_cfg(**CLIP)
    cfg.MODEL.BACKBONE.FREEZE_AT = 2
    trunk = Holder(cfg).backbone.bottom_up
    assert not any(p.requires_grad for m in (trunk.stem, trunk.res2) for p in m.parameters())
    assert all(p.requires_grad for p in trunk.res3.parameters())


def test_pre_training_takes_it(tmp_path):
    cfg = tiny_vlpt_cfg(tmp_path, norm="BN")
    for key, value in {"DEPTH": 50, "WIDTH_PER_GROUP": 4, "STEM_OUT_CHANNELS": 4, **CLIP}.items():
        cfg.MODEL.RESNETS[key] = value
    cfg.MODEL.RESNETS.STRIDE_IN_1X1 = False
    encoder = build_vlpt_image_encoder(cfg, ShapeSpec(channels=3))
    out = encoder(torch.randn(2, 3, 32, 64))
    assert out["fused"].shape == (2, 16, 2, 4)
    out["fused"].sum().backward()
    assert encoder.bottom_up.stem.conv3.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"VARIANT": "clip", "DEPTH": 18}, "DEPTH is 18: MODEL.RESNETS.VARIANT clip"),
        ({"VARIANT": "plain", "DEPTH": 51}, "DEPTH is 51; there are 18, 34, 50, 101, 152"),
        ({"VARIANT": "clip", "STRIDE_IN_1X1": True}, "STRIDE_IN_1X1 is True"),
        ({"VARIANT": "clip", "NUM_GROUPS": 2}, "NUM_GROUPS is 2"),
        ({"VARIANT": "deep"}, "VARIANT is 'deep'; there are plain, clip"),
    ],
)
def test_what_it_lacks_is_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        Holder(trunk_cfg(**keys))
