"""Every head on every kind of backbone."""

import pytest
import torch
from detectron2.modeling import build_model
from helpers.detectors import BACKBONES, HEADS, detector_cfg, text_sample

from vlpt_d2.model_zoo import config_root


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("head", HEADS)
def test_every_head_on_every_backbone(head, backbone):
    cfg = detector_cfg(head, backbone)
    model = build_model(cfg)
    # Sizes that no stride divides, and differ.
    batch = [text_sample(cfg, size) for size in ((61, 93), (58, 70))]
    losses = model(batch)
    total = sum(losses.values())
    total.backward()
    assert torch.isfinite(total) and total > 0
    for name, parameter in model.named_parameters():
        # A top block's or the last norm's gradient may be zero, but not missing or infinite.
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert any(p.grad.abs().sum() > 0 for p in model.backbone.parameters())

    model.eval()
    with torch.no_grad():
        maps = model.predict_maps(batch)
        outputs = model([{"image": x["image"], "height": 120, "width": 180} for x in batch])
    assert [size for _, size in maps] == [(61, 93), (58, 70)]
    for m, _ in maps:
        # Padded to 64 x 96, at strides that are powers of two.
        grids = {(-(-64 // 2**i), -(-96 // 2**i)) for i in range(9)}
        assert {tuple(x.shape[1:]) for x in m.values()} <= grids
        assert all(x.isfinite().all() for x in m.values())
    assert [o["instances"].image_size for o in outputs] == [(120, 180)] * 2


# Heads that read all levels, those from stride 8 on, and all for a map at stride 2.
@pytest.mark.parametrize("head", ["SAEHead", "SegLinkHead", "TextSnakeHead"])
def test_a_step_on_a_deformable_trunk(head):
    cfg = detector_cfg(head)
    cfg.merge_from_file(str(config_root() / "_base_" / "deformable.yaml"))
    model = build_model(cfg)
    sum(model([text_sample(cfg, (64, 64))] * 2).values()).backward()
    offsets = {n: p.grad for n, p in model.backbone.named_parameters() if "offset" in n}
    assert {name.split(".")[1] for name in offsets} == {"res3", "res4", "res5"}
    assert all(g.isfinite().all() for g in offsets.values())
    assert any(g.any() for g in offsets.values())


@pytest.mark.parametrize("norm", ["BN", "SyncBN", "FrozenBN", "GN"])
@pytest.mark.parametrize("head", HEADS)
def test_every_head_with_other_norms(head, norm):
    trunk_norm = "SyncBN" if norm == "GN" else norm
    opts = {"MODEL__RESNETS__NORM": trunk_norm, "MODEL__TEXT_HEAD__NORM": norm}
    cfg = detector_cfg(head, "narrow R-50", MODEL__DB__NECK_CHANNELS=128, **opts)
    model = build_model(cfg)
    sum(model([text_sample(cfg, (64, 64))] * 2).values()).backward()
    trained = dict(model.backbone.named_parameters())
    assert any("norm" in name for name in trained) == (norm != "FrozenBN")
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
