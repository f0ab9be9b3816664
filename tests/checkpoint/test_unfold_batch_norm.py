"""Folded norms come back to life without changing what the trunk computes."""

import copy

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from trunks import Holder, randomize, trunk_cfg

from vlpt_d2.checkpoint import TextCheckpointer, reestimate_norms
from vlpt_d2.data.images import image_batches


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


def test_one_norm_by_hand():
    norm = nn.BatchNorm2d(1, eps=0.5)
    with torch.no_grad():
        norm.weight.fill_(3.0), norm.bias.fill_(-1.0)
        norm.running_mean.fill_(2.0), norm.running_var.fill_(3.5)
    x = torch.tensor([1.0, 3.0, 5.0, 11.0]).view(4, 1, 1, 1)  # mean 5, variance 14
    assert reestimate_norms(nn.Sequential(norm), [x[:3], x[3:]]) == 1
    assert norm.running_mean.item() == 5 and norm.running_var.item() == pytest.approx(14)
    assert norm.weight.item() == pytest.approx(3 * (14.5 / 4) ** 0.5)
    assert norm.bias.item() == pytest.approx(-1 + 3 * (5 - 2) / 2)


@pytest.mark.parametrize("norm", ["BN", "FrozenBN"])
def test_function_is_kept_and_training_comes_close(norm):
    model = randomize(Holder(trunk_cfg(NORM=norm, WIDTH_PER_GROUP=8, RES2_OUT_CHANNELS=16)))
    images = torch.randn(12, 3, 64, 64)
    before = model.outputs(images)["res5"]
    model.train()
    reestimate_norms(model.backbone, images.split(4))
    assert model.training
    after = model.outputs(images)["res5"]
    assert relative(after, before) < 1e-4
    if norm == "BN":
        live = copy.deepcopy(model)
        live.train()
        with torch.no_grad():
            assert relative(live.backbone(images)["res5"], before) < 0.02


def test_shared_trunk_trains_from_its_own_function(half_r50_weights, backgrounds_root):
    """The case it is for: live norms as they are in the file change the trunk beyond use."""
    cfg = trunk_cfg(
        STRIDE_IN_1X1=True, STEM_OUT_CHANNELS=64, RES2_OUT_CHANNELS=128, WIDTH_PER_GROUP=32
    )
    cfg.INPUT.FORMAT = "BGR"
    cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD = [104.0, 117.0, 123.0], [1.0, 1.0, 1.0]
    model = Holder(cfg)
    TextCheckpointer(model, cfg=cfg).load(str(half_r50_weights))
    images = list(image_batches(cfg, str(backgrounds_root), size=128, batch=8, limit=16))
    assert [tuple(i.shape) for i in images] == [(8, 3, 128, 128)] * 2
    probe = images[0]
    before = model.outputs(probe)["res5"]

    def in_training():
        live = copy.deepcopy(model).train()
        with torch.no_grad():
            return relative(live.backbone(probe)["res5"], before)

    assert in_training() > 0.5
    assert reestimate_norms(model.backbone, images) == 53
    assert relative(model.outputs(probe)["res5"], before) < 1e-3
    assert in_training() < 0.5


def test_nothing_to_measure_is_an_error():
    with pytest.raises(ValueError, match="no batch norm"):
        reestimate_norms(nn.Conv2d(3, 3, 1), [torch.ones(1, 3, 4, 4)])
    with pytest.raises(ValueError, match="no batch of images"):
        reestimate_norms(nn.Sequential(nn.BatchNorm2d(3)), [])


def test_image_batches_are_normalised_squares(tmp_path):
    cfg = trunk_cfg()
    cfg.INPUT.FORMAT = "BGR"
    cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD = [10.0, 20.0, 30.0], [1.0, 2.0, 4.0]
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((40, 60, 3), (20, 40, 70), np.uint8))
    batches = list(image_batches(cfg, str(tmp_path), size=32, batch=2))
    assert [len(b) for b in batches] == [2, 1]
    assert batches[0].shape == (2, 3, 32, 32)
    assert batches[0][0, :, 5, 5].tolist() == [10.0, 10.0, 10.0]
    with pytest.raises(FileNotFoundError, match="no image"):
        next(image_batches(cfg, str(tmp_path / "none")))
