"""Files in the layouts of other projects compute here what they compute there."""

import logging

import pytest
import torch
from foreign import WIDTH, ForeignResNet
from torch import nn
from trunks import Holder, assert_same_outputs, randomize, trunk_cfg

from vlpt_d2.checkpoint import (
    CheckpointError,
    TextCheckpointer,
    describe_trunk,
    extract_trunk,
    read_checkpoint,
)

CLIP_PIXELS = {
    "format": "RGB",
    "mean": [255 * x for x in (0.48145466, 0.4578275, 0.40821073)],
    "std": [255 * x for x in (0.26862954, 0.26130258, 0.27577711)],
}
STKM_PIXELS = {"format": "BGR", "mean": [127.5] * 3, "std": [127.5] * 3}
DB_PIXELS = {
    "format": "BGR",
    "mean": [122.67891434, 116.66876762, 104.00698793],
    "std": [255.0] * 3,
}
DEFORMABLE = {"DEFORM_ON_PER_STAGE": [False, True, True, True], "DEFORM_MODULATED": True}


def cfg_of(pixels=None, **resnets):
    sizes = {
        "STEM_OUT_CHANNELS": WIDTH,
        "RES2_OUT_CHANNELS": 4 * WIDTH,
        "WIDTH_PER_GROUP": WIDTH,
    }
    cfg = trunk_cfg(**sizes, **resnets)
    if pixels:
        cfg.INPUT.FORMAT = pixels["format"]
        cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD = pixels["mean"], pixels["std"]
    return cfg


def foreign(stem="plain", deform=None):
    net = randomize(ForeignResNet(stem, deform))
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.out_channels == 27:
            # Offsets of a pixel or so, weights of taps that differ.
            nn.init.normal_(module.weight, std=0.2)
    return net


def below(prefix, net):
    return {f"{prefix}{k}": v for k, v in net.state_dict().items()}


def some(*names):
    return {name: torch.ones(2) for name in names}


def clip(net):
    return below("visual.", net) | some("visual.attnpool.k_proj.weight", "text_projection")


def oclip(net):
    others = some("module.text_class.weight", "module.visual.attnpool.k_proj.weight")
    weights = below("module.visual.", net) | others
    return {"epoch": 3, "name": "RN50", "state_dict": weights, "optimizer": {"state": {}}}


def openmmlab_early(net):
    """bytedance/oclip tools/convert2mmocr.py numbers the stem without its activations."""
    numbers = {"0": "0", "1": "1", "3": "2", "4": "3", "6": "4", "7": "5"}
    renamed = {}
    for key, value in net.state_dict().items():
        parts = key.split(".")
        if parts[0] == "stem":
            parts[1] = numbers[parts[1]]
        renamed[".".join(parts)] = value
    return renamed


def openmmlab(net):
    return {"meta": {"epoch": 1}, "state_dict": below("backbone.", net) | some("det_head.w")}


def vlpt(net):
    others = some("module.co_encoder.norm.weight", "module.image_encoder.cls_token")
    return below("module.image_encoder.backbone.", net) | others


def stkm(net):
    return below("resnet.", net) | some("fpn.conv2_pos.weight", "resnet.fc.weight")


def db(net):
    others = some("model.module.backbone.smooth.weight", "model.module.decoder.in5.weight")
    return below("model.module.backbone.", net) | others


LAYOUTS = {
    "torchvision": ("plain", None, lambda net: below("", net) | some("fc.weight"), None),
    "torchvision, below 'encoder.'": (
        "plain",
        None,
        lambda net: below("encoder.", net) | some("encoder.fc.weight"),
        None,
    ),
    "OpenAI CLIP": ("clip", None, clip, CLIP_PIXELS),
    "a trunk of CLIP's": ("clip", None, lambda net: below("visual.", net), None),
    "oCLIP": ("clip", None, oclip, CLIP_PIXELS),
    "MMOCR's oCLIP": ("openmmlab", None, lambda net: below("", net), None),
    "MMDetection or MMOCR": ("plain", None, openmmlab, None),
    "the release of VLPT-STD": ("plain", None, vlpt, None),
    "STKM": ("plain", None, stkm, STKM_PIXELS),
    "MhLiao/DB": ("plain", "db", db, DB_PIXELS),
}


@pytest.fixture
def log(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("vlpt_d2"), "propagate", True)
    caplog.set_level(logging.INFO, logger="vlpt_d2")
    return caplog


def resnets_of(stem, deform):
    variant = {} if stem == "plain" else {"VARIANT": "clip"}
    return variant | (DEFORMABLE if deform else {})


def load(path, cfg):
    model = Holder(cfg)
    TextCheckpointer(model, cfg=cfg).load(str(path))
    return model


@pytest.mark.parametrize("kind", LAYOUTS)
def test_layout_computes_the_same_here(tmp_path, log, kind):
    stem, deform, write, pixels = LAYOUTS[kind]
    net = foreign(stem, deform)
    path = tmp_path / "theirs.pth"
    torch.save(write(net), path)
    cfg = cfg_of(pixels, **resnets_of(stem, deform))
    assert_same_outputs(load(path, cfg).outputs, net.outputs)
    assert f"a file with the names of {kind}: only its ResNet is taken" in log.text
    assert "are not in the file" not in log.text
    # The same through a trunk file, whose description needs no config where enough is known.
    target = tmp_path / "trunk.safetensors"
    described = None
    if kind == "MMDetection or MMOCR":
        with pytest.raises(CheckpointError, match="name the config"):
            extract_trunk(str(path), str(target))
        described = {"stride_in_1x1": False}
    extract_trunk(str(path), str(target), described)
    assert_same_outputs(load(target, cfg).outputs, net.outputs)


def test_more_of_openmmlab(tmp_path, log):
    """The early numbering, deformable blocks, and what cannot be told from ResNetV1d."""
    net = foreign("openmmlab")
    path = tmp_path / "theirs.pth"
    torch.save(openmmlab_early(net), path)
    assert_same_outputs(load(path, cfg_of(VARIANT="clip")).outputs, net.outputs)
    assert "ResNetV1d has the same names" in log.text
    assert "does not record its channel order and pixels" in log.text
    net = foreign("plain", "mmcv")
    torch.save(openmmlab(net), path)
    assert_same_outputs(load(path, cfg_of(**DEFORMABLE)).outputs, net.outputs)
    assert "does not record how its trunk was trained" in log.text


class Archive(nn.Module):
    """The parts of OpenAI's archive; its program takes no part in loading."""

    def __init__(self, visual):
        super().__init__()
        self.visual = visual
        self.visual.attnpool = nn.Linear(2, 2)
        self.logit_scale = nn.Parameter(torch.ones([]))
        self.register_buffer("mask", torch.ones(2, 2))

    def forward(self, x):
        return x * self.logit_scale


def test_torchscript_archive_is_loaded_by_the_command_of_its_message(tmp_path, monkeypatch):
    """With its convolutions in 16 bits, as OpenAI's are."""
    monkeypatch.chdir(tmp_path)
    net = foreign("clip")
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.half()
    archive = Archive(net)
    torch.jit.trace(archive, torch.ones(1)).save("RN50.pt")
    with pytest.raises(CheckpointError, match=r"RN50\.pt is a TorchScript archive") as caught:
        read_checkpoint("RN50.pt")
    command = str(caught.value).partition('python -c "')[2].rstrip('"')
    exec(command)
    weights = read_checkpoint("weights.pth")["model"]
    assert weights.keys() == archive.state_dict().keys()
    cfg = cfg_of(CLIP_PIXELS, VARIANT="clip")
    assert_same_outputs(load("weights.pth", cfg).outputs, net.float().outputs)
    _, described = extract_trunk("weights.pth", "trunk.safetensors")
    trunk = read_checkpoint("trunk.safetensors")["model"]
    assert {value.dtype for value in trunk.values()} == {torch.float32}
    assert (described["depth"], described["variant"], described["width_per_group"]) == (
        50,
        "clip",
        WIDTH,
    )


@pytest.mark.parametrize(
    ("kind", "key"),
    [("STKM", "INPUT.FORMAT"), ("MhLiao/DB", "MODEL.PIXEL_STD"), ("oCLIP", "MODEL.PIXEL_MEAN")],
)
def test_other_pixels_than_a_projects_are_refused(tmp_path, kind, key):
    stem, deform, write, _ = LAYOUTS[kind]
    torch.save(write(foreign(stem, deform)), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=f"{key} is .*the file's trunk has"):
        load(tmp_path / "a.pth", cfg_of(**resnets_of(stem, deform)))


@pytest.mark.parametrize("stem", ["plain", "clip"])
def test_variants_do_not_load_into_each_other(tmp_path, stem):
    torch.save(below("", foreign(stem)), tmp_path / "a.pth")
    other = {"plain": "clip", "clip": "plain"}[stem]
    with pytest.raises(CheckpointError, match=f"VARIANT is {other}, the file's trunk has {stem}"):
        load(tmp_path / "a.pth", cfg_of(CLIP_PIXELS, VARIANT=other))


def without(net, **changes):
    weights = net.state_dict()
    for name, tensor in changes.items():
        weights[name.replace("__", ".")] = tensor
    return weights


REFUSED = {
    "stem of three convolutions and a max pool .timm": lambda: without(
        foreign(), conv1__0__weight=torch.ones(4, 3, 3, 3)
    ),
    "twice as wide": lambda: without(
        foreign("clip"), layer1__0__conv1__weight=torch.ones(WIDTH, 2 * WIDTH, 1, 1)
    ),
    r"lack, layer1\.0\.se\.fc1": lambda: without(
        foreign(), layer1__0__se__fc1__weight=torch.ones(2, 2, 1, 1)
    ),
    r"lack, layer1\.0\.conv1\.bias": lambda: without(
        foreign(), layer1__0__conv1__bias=torch.ones(WIDTH)
    ),
    r"lack, layer1\.0\.downsample\.1": lambda: (
        {k: v for k, v in below("", foreign("openmmlab")).items() if not k.startswith("stem")}
        | {"conv1.weight": torch.ones(WIDTH, 3, 7, 7)}
    ),
    "neither conv1 nor stem": lambda: {
        k: v for k, v in below("", foreign()).items() if k.startswith("layer")
    },
    "several ResNets, below 'encoder_k.', 'encoder_q.'": lambda: {
        **below("encoder_q.", foreign()),
        **below("encoder_k.", foreign()),
    },
    r"is \(3, 3\), not \(7, 7\)": lambda: without(
        foreign(), conv1__weight=torch.ones(WIDTH, 3, 3, 3)
    ),
    "54 channels": lambda: without(
        foreign(deform="db"), layer2__0__conv2_offset__weight=torch.ones(54, 2 * WIDTH, 3, 3)
    ),
    "DeepLab": lambda: {
        "backbone.stem.conv1.weight": torch.ones(1),
        "backbone.stem.conv2.weight": torch.ones(1),
        "backbone.res2.0.conv1.weight": torch.ones(1),
    },
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_ours_do_not_compute_is_refused(tmp_path, message):
    torch.save(dict(REFUSED[message]()), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / "a.pth", cfg_of())


def test_timm(tmp_path):
    timm = pytest.importorskip("timm")
    net = randomize(timm.create_model("resnet50", pretrained=False)).eval()
    torch.save(net.state_dict(), tmp_path / "timm.pth")
    sizes = {"STEM_OUT_CHANNELS": 64, "RES2_OUT_CHANNELS": 256, "WIDTH_PER_GROUP": 64}
    cfg = trunk_cfg(**sizes)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        maps = net.forward_intermediates(images, intermediates_only=True)
    wanted = {f"res{i + 1}": maps[i] for i in range(1, 5)}
    model = load(tmp_path / "timm.pth", cfg)
    assert_same_outputs(model.outputs, lambda _: wanted, images)
    deep = timm.create_model("resnet26d", pretrained=False).state_dict()
    torch.save(deep, tmp_path / "timm.pth")
    with pytest.raises(CheckpointError, match="resnet50d and the like"):
        load(tmp_path / "timm.pth", cfg)


def test_strides_of_trunks_without_a_classifier_are_not_known(tmp_path, log):
    """OpenMMLab's of style "caffe" have torchvision's names and other strides."""
    path = tmp_path / "resnet50_caffe.pth"
    torch.save(foreign().state_dict(), path)
    load(path, cfg_of())
    assert "does not record how its trunk was trained" in log.text
    with pytest.raises(CheckpointError, match="name the config"):
        extract_trunk(str(path), str(tmp_path / "trunk.pth"))


def test_the_place_of_dbs_backbone_is_not_enough_to_be_db(tmp_path, log):
    path = tmp_path / "lightning.pth"
    torch.save({"state_dict": below("model.backbone.", foreign())}, path)
    load(path, cfg_of())
    assert "MhLiao" not in log.text and "does not record" in log.text


def test_batch_norms_do_not_go_into_another_norm(tmp_path):
    path = tmp_path / "bn.pth"
    torch.save(foreign().state_dict(), path)
    cfg = cfg_of(NORM="GN")
    cfg.MODEL.RESNETS.STEM_OUT_CHANNELS = cfg.MODEL.RESNETS.WIDTH_PER_GROUP = 32
    with pytest.raises(CheckpointError, match="RESNETS.NORM is GN, the file's trunk has BN"):
        load(path, cfg)


def test_a_classifier_is_no_part_of_the_trunk(tmp_path):
    """detectron2's conversion of torchvision's R-50 calls it stem.fc."""
    cfg = cfg_of()
    net = randomize(Holder(cfg))
    weights = {
        k.removeprefix("backbone.bottom_up."): v
        for k, v in net.state_dict().items()
        if k.startswith("backbone.bottom_up.")
    }
    path, target = tmp_path / "R-50.pth", tmp_path / "trunk.pth"
    torch.save({"model": weights | {"stem.fc.weight": torch.ones(9, 9)}}, path)
    described = describe_trunk(cfg)
    for layout in ("vlpt_d2", "torchvision", "mmocr"):
        extract_trunk(str(path), str(target), described, layout)
        assert not any("fc" in key for key in read_checkpoint(str(target))["model"])


def test_two_resnets_in_detectron2s_names_are_refused(tmp_path):
    weights = randomize(Holder(cfg_of())).state_dict()
    both = {f"modelTeacher.{k}": v for k, v in weights.items()}
    both |= {f"modelStudent.{k}": v for k, v in weights.items()}
    torch.save({"model": both}, tmp_path / "both.pth")
    with pytest.raises(CheckpointError, match="several ResNets.*modelStudent.*modelTeacher"):
        load(tmp_path / "both.pth", cfg_of())
