"""What loads into what, and what is refused in words."""

import logging
import pickle

import pytest
import torch
import torchvision
from detectron2.layers import FrozenBatchNorm2d
from torch import nn
from trunks import Holder, Other, assert_same_outputs, randomize, trunk_cfg

from vlpt_d2.checkpoint import CheckpointError, TextCheckpointer


@pytest.fixture
def log(caplog, monkeypatch):
    # detectron2's set-up, if a test ran it, keeps messages from the root logger.
    monkeypatch.setattr(logging.getLogger("vlpt_d2"), "propagate", True)
    caplog.set_level(logging.INFO, logger="vlpt_d2")
    return caplog


def saved(model, folder, cfg, name="model"):
    TextCheckpointer(model, str(folder), cfg=cfg).save(name)
    return str(folder / f"{name}.pth")


def load(path, cfg, model=None):
    model = Holder(cfg) if model is None else model
    TextCheckpointer(model, cfg=cfg).load(str(path))
    return model


def test_own_checkpoint_round_trip(tmp_path):
    cfg = trunk_cfg()
    source = randomize(Holder(cfg, head=nn.Linear(2, 2)))
    path = saved(source, tmp_path, cfg)
    target = load(path, cfg, Holder(cfg, head=nn.Linear(2, 2)))
    for key, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[key], value), key
    assert not list(tmp_path.glob("*.part"))


def test_other_architecture_gives_its_trunk_alone(tmp_path, log):
    """Even where the rest has the same names and shapes."""
    cfg = trunk_cfg()
    source = randomize(Other(cfg, head=nn.Linear(2, 2), text=nn.Linear(3, 3)))
    target = Holder(cfg, head=nn.Linear(2, 2), neck=nn.Linear(5, 5, bias=False))
    before = target.head.weight.clone()
    load(saved(source, tmp_path, cfg), cfg, target)
    assert_same_outputs(target.outputs, source.outputs)
    assert torch.equal(target.head.weight, before)
    tensors = sum("num_batches" not in k for k in source.backbone.state_dict())
    counters = sum("num_batches" in k for k in source.backbone.state_dict())
    assert f"loaded {tensors + counters} tensors: backbone.bottom_up" in log.text
    assert "a checkpoint of Other: only its ResNet is taken" in log.text
    assert "3 tensors of the model are not in the file" in log.text
    assert "head.weight 1, head.bias 1, neck.weight 1" in log.text
    assert "4 tensors of the file are not used: head.weight 1" in log.text


@pytest.mark.parametrize("norm", ["FrozenBN", "SyncBN", "naiveSyncBN"])
def test_batch_norms_of_all_kinds_are_the_same_function(tmp_path, norm):
    cfg = trunk_cfg()
    source = randomize(Holder(cfg))
    target = load(saved(source, tmp_path, cfg), trunk_cfg(NORM=norm))
    assert_same_outputs(target.outputs, source.outputs)
    if norm == "FrozenBN":
        assert isinstance(target.backbone.bottom_up.stem.conv1.norm, FrozenBatchNorm2d)
        back = load(saved(target, tmp_path, trunk_cfg(NORM=norm), "frozen"), cfg)
        assert_same_outputs(back.outputs, source.outputs)


@pytest.mark.parametrize(
    "key, value",
    [
        ("MODEL.RESNETS.STRIDE_IN_1X1", True),
        ("MODEL.RESNETS.NORM", "GN"),
        ("MODEL.RESNETS.WIDTH_PER_GROUP", 8),
        ("MODEL.RESNETS.DEPTH", 101),
        ("INPUT.FORMAT", "BGR"),
        ("MODEL.PIXEL_MEAN", [103.53, 116.28, 123.675]),
        ("MODEL.PIXEL_STD", [1.0, 1.0, 1.0]),
    ],
)
def test_trunk_that_computes_something_else_is_refused(tmp_path, key, value):
    cfg = trunk_cfg(STEM_OUT_CHANNELS=32, RES2_OUT_CHANNELS=32, WIDTH_PER_GROUP=32)
    path = saved(Holder(cfg), tmp_path, cfg)
    other = cfg.clone()
    other.merge_from_list([key, value])
    with pytest.raises(CheckpointError, match=f"{key} is .*the file's trunk has"):
        load(path, other)
    load(path, cfg)


def test_without_a_record_shapes_still_speak(tmp_path, log):
    path = tmp_path / "plain.pth"
    torch.save({"model": dict(Holder(trunk_cfg()).state_dict())}, path)
    load(path, trunk_cfg())
    assert "does not record how its trunk was trained" in log.text
    with pytest.raises(CheckpointError, match="another width.*WIDTH_PER_GROUP"):
        load(path, trunk_cfg(WIDTH_PER_GROUP=8))
    with pytest.raises(CheckpointError, match="another depth.*DEPTH"):
        load(path, trunk_cfg(DEPTH=101))


def test_file_that_shares_nothing_is_refused(tmp_path):
    path = tmp_path / "vgg.pth"
    torch.save({"features.0.weight": torch.ones(2)}, path)
    with pytest.raises(CheckpointError, match=r"shares no weight with Holder.*features\.0\.weight"):
        load(path, trunk_cfg())


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.pth.*MODEL\.WEIGHTS"):
        load(tmp_path / "absent.pth", trunk_cfg())


def test_resuming_needs_the_same_model(tmp_path):
    cfg = trunk_cfg()
    first = TextCheckpointer(Holder(cfg), str(tmp_path), cfg=cfg, trainer=nn.Linear(1, 1))
    first.save("model_0000001", iteration=1)
    other = Holder(cfg, head=nn.Linear(2, 2))
    checkpointer = TextCheckpointer(other, str(tmp_path), cfg=cfg, trainer=nn.Linear(1, 1))
    with pytest.raises(CheckpointError, match=r"cannot be resumed.*head\.weight"):
        checkpointer.resume_or_load("", resume=True)


def torchvision_outputs(net):
    def forward(images):
        net.eval()
        with torch.no_grad():
            x = net.maxpool(net.relu(net.bn1(net.conv1(images))))
            outputs = {}
            for i in range(1, 5):
                x = outputs[f"res{i + 1}"] = getattr(net, f"layer{i}")(x)
            return outputs

    return forward


def full_cfg(depth=50, **resnets):
    channels = {"STEM_OUT_CHANNELS": 64, "RES2_OUT_CHANNELS": 64 if depth < 50 else 256}
    return trunk_cfg(DEPTH=depth, WIDTH_PER_GROUP=64, **channels, **resnets)


@pytest.mark.parametrize("depth", [18, 50])
def test_torchvision_resnets_compute_the_same_here(tmp_path, log, depth):
    net = randomize(getattr(torchvision.models, f"resnet{depth}")(weights=None))
    path = tmp_path / "torchvision.pth"
    torch.save(net.state_dict(), path)
    model = load(path, full_cfg(depth))
    assert_same_outputs(model.outputs, torchvision_outputs(net))
    assert "2 tensors of the file are not used: fc.weight 1, fc.bias 1" in log.text
    assert "are not in the file" not in log.text
    with pytest.raises(CheckpointError, match="STRIDE_IN_1X1 is True"):
        load(path, full_cfg(depth, STRIDE_IN_1X1=True))


@pytest.mark.parametrize("prefix", ["", "backbone.", "backbone.bottom_up.", "bottom_up."])
def test_detectron2_pickles_compute_the_same_here(tmp_path, prefix):
    """The layout of its converted torchvision files: arrays, own names, a classifier."""
    cfg = trunk_cfg()
    source = randomize(Holder(cfg))
    arrays = {
        prefix + k: v.numpy()
        for k, v in source.backbone.bottom_up.state_dict().items()
        if "num_batches" not in k
    }
    if not prefix:
        arrays["fc.weight"] = arrays["stem.conv1.norm.weight"]
    path = tmp_path / "R-50.pkl"
    content = {"model": arrays, "__author__": "torchvision", "matching_heuristics": True}
    path.write_bytes(pickle.dumps(content))
    assert_same_outputs(load(path, cfg).outputs, source.outputs)


def test_caffe2_names_are_understood(tmp_path):
    """Of detectron2's ImageNetPretrained/MSRA files: folded norms as scale "s" and bias "b"."""
    cfg = trunk_cfg(NORM="FrozenBN")
    source = randomize(Holder(cfg))
    blobs = {}
    for key, value in source.backbone.bottom_up.state_dict().items():
        if "running" in key:
            value.fill_(0.0 if key.endswith("mean") else 1.0)
            continue
        module, _, leaf = key.rpartition(".")
        is_norm = module.endswith(".norm")
        module = module.removesuffix(".norm")
        if module == "stem.conv1":
            name = "res_conv1" if is_norm else "conv1"
        else:
            stage, block, part = module.split(".")
            branch = {"conv1": "2a", "conv2": "2b", "conv3": "2c", "shortcut": "1"}[part]
            name = f"{stage}_{block}_branch{branch}"
        suffix = {"weight": "s", "bias": "b"}[leaf] if is_norm else "w"
        blobs[f"{name}_{'bn_' if is_norm else ''}{suffix}"] = value.numpy()
    blobs["conv1_w_momentum"] = blobs["conv1_w"]
    path = tmp_path / "R-50.pkl"
    path.write_bytes(pickle.dumps({"blobs": blobs}))
    assert_same_outputs(load(path, cfg).outputs, source.outputs)


def test_shared_half_width_trunk_loads(half_r50_weights, log):
    cfg = trunk_cfg(
        NORM="BN",
        STRIDE_IN_1X1=True,
        STEM_OUT_CHANNELS=64,
        RES2_OUT_CHANNELS=128,
        WIDTH_PER_GROUP=32,
    )
    load(half_r50_weights, cfg)
    assert "loaded 265 tensors: backbone.bottom_up 265" in log.text
    assert "are not in the file" not in log.text
