"""Every head on every kind of backbone; Swin and ViTDet as registered backbones."""

import sys

import pytest
import torch
from detectron2.modeling import build_backbone, build_model
from helpers.detectors import BACKBONES, HEADS, detector_cfg, text_sample
from torchvision.models import swin_t
from torchvision.models.swin_transformer import SwinTransformer as TorchvisionSwin

from vlpt_d2.checkpoint import TextCheckpointer
from vlpt_d2.config import get_cfg


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
        # Padded to 64 x 96, at a whole stride; all maps of a head have one size.
        (shape,) = {tuple(x.shape[1:]) for x in m.values()}
        assert 64 % shape[0] == 0 and 64 // shape[0] == 96 / shape[1]
        assert all(x.isfinite().all() for x in m.values())
    assert [o["instances"].image_size for o in outputs] == [(120, 180)] * 2


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


@pytest.mark.parametrize(
    "backbone, names",
    [("Swin", ["res2", "res3", "res4", "res5"]), ("ViTDet", ["p2", "p3", "p4", "p5"])],
)
def test_maps_have_the_sizes_their_shapes_say(backbone, names):
    net = build_backbone(detector_cfg(HEADS[0], backbone)).eval()
    assert net.size_divisibility == 32
    x = torch.randn(1, 3, 64, 96)
    maps = net(x)
    assert list(maps) == names
    for (name, spec), stride in zip(net.output_shape().items(), (4, 8, 16, 32)):
        assert spec.stride == stride
        assert maps[name].shape == (1, spec.channels, 64 // stride, 96 // stride)


def test_checkpoints_of_transformers_come_back_whole(tmp_path):
    for backbone in ("Swin", "ViTDet"):
        cfg = detector_cfg(HEADS[0], backbone)
        model, other = build_model(cfg), build_model(cfg)
        TextCheckpointer(model, str(tmp_path), cfg=cfg).save(backbone.lower())
        TextCheckpointer(other, cfg=cfg).load(str(tmp_path / f"{backbone.lower()}.pth"))
        for key, value in model.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), key
        assert any(key.startswith("backbone.") for key in model.state_dict())


def test_swin_computes_what_torchvisions_does():
    """The same weights under torchvision's names give the same last stage."""
    cfg = detector_cfg(HEADS[0], "Swin", MODEL__SWIN__DEPTHS=(1, 2, 1, 1))
    ours = build_backbone(cfg).eval().bottom_up
    theirs = TorchvisionSwin([4, 4], 8, [1, 2, 1, 1], [1, 1, 2, 2], [4, 4]).eval()
    for p in ours.parameters():
        torch.nn.init.normal_(p, std=0.1)
    state = theirs.state_dict()
    source = {_torchvision_name(k): v for k, v in ours.state_dict().items()}
    used = {k: v for k, v in source.items() if k in state and not k.endswith("_index")}
    assert {k for k in state if not k.startswith("head")} - {
        k for k in state if k.endswith("_index")
    } == set(used)
    theirs.load_state_dict(used, strict=False)
    x = torch.randn(2, 3, 64, 128)
    with torch.no_grad():
        expected = theirs.norm(theirs.features(x)).permute(0, 3, 1, 2)
        torch.testing.assert_close(ours(x)["p3"], expected, rtol=1e-4, atol=1e-4)


def _torchvision_name(key):
    parts = key.split(".")
    if parts[0] == "patch_embed":
        return ".".join(["features.0", {"proj": "0", "norm": "2"}[parts[1]], parts[2]])
    if parts[0] == "norm3":
        return f"norm.{parts[1]}"
    if parts[0] != "layers":
        return key
    stage = int(parts[1])
    if parts[2] == "downsample":
        return ".".join([f"features.{2 * stage + 2}", *parts[3:]])
    rest = ".".join(parts[4:]).replace("mlp.fc1", "mlp.0").replace("mlp.fc2", "mlp.3")
    return f"features.{2 * stage + 1}.{parts[3]}.{rest}"


def test_defaults_are_those_of_swin_t():
    cfg = get_cfg()
    cfg.MODEL.BACKBONE.NAME = "build_swin_trunk"
    ours = sum(p.numel() for p in build_backbone(cfg).parameters())
    with torch.device("meta"):
        theirs = swin_t(weights=None)
    theirs.head = torch.nn.Identity()
    norms = 2 * (96 + 192 + 384)  # of res2, res3 and res4, which classification does not use
    assert ours == sum(p.numel() for p in theirs.parameters()) + norms


def test_drop_path_grows_with_depth_and_skips_in_training_alone():
    net = build_backbone(detector_cfg(HEADS[0], "Swin", MODEL__SWIN__DROP_PATH=0.4))
    rates = [m.p for m in net.modules() if type(m).__name__ == "StochasticDepth"]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    x = torch.randn(1, 3, 32, 32)
    outputs = [torch.stack([net.train(t)(x)["res5"] for _ in range(4)]) for t in (True, False)]
    assert outputs[0].std(dim=0).max() > 0 and outputs[1].std(dim=0).max() == 0


def test_frozen_stages_of_swin():
    for freeze, frozen in ((0, ()), (1, ("patch_embed",)), (2, ("patch_embed", "layers.0."))):
        cfg = detector_cfg(HEADS[0], "Swin", MODEL__BACKBONE__FREEZE_AT=freeze)
        for name, parameter in build_backbone(cfg).bottom_up.named_parameters():
            assert parameter.requires_grad != name.startswith(frozen or "-"), name


def test_wrong_settings_are_told(monkeypatch):
    with pytest.raises(ValueError, match="four stages"):
        build_backbone(detector_cfg(HEADS[0], "Swin", MODEL__SWIN__DEPTHS=(2, 2)))
    with pytest.raises(ValueError, match="FREEZE_AT to 0"):
        build_backbone(detector_cfg(HEADS[0], "ViTDet", MODEL__BACKBONE__FREEZE_AT=2))
    with pytest.raises(ValueError, match="0 to 1"):
        build_backbone(detector_cfg(HEADS[0], "ViTDet", MODEL__VIT__GLOBAL_BLOCKS=(2,)))
    monkeypatch.setitem(sys.modules, "timm.models.layers", None)
    with pytest.raises(ImportError, match="pip install timm"):
        build_backbone(detector_cfg(HEADS[0], "ViTDet"))
