"""Exported files against the models they were made of."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from detectron2.modeling import build_model
from helpers.detectors import HEADS, detector_cfg, overfitted_detector, text_sample
from torchvision.ops import DeformConv2d

from vlpt_d2.checkpoint import TextCheckpointer
from vlpt_d2.cli.main import main
from vlpt_d2.export import ExportError, export_detector, load_exported


@pytest.fixture(scope="module", params=HEADS)
def trained(request):
    """A config, a detector of it that finds two texts, and the sample that shows them."""
    cfg = detector_cfg(request.param, "tiny", MODEL__TEXT_HEAD__NORM="SyncBN")
    sample = text_sample(cfg)
    return cfg, overfitted_detector(cfg, sample), sample


@pytest.fixture(scope="module")
def onnx_file(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "network.onnx"
    assert export_detector(trained[0], trained[1], path, "onnx") <= 1e-4
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    return path


@pytest.fixture(scope="module")
def torchscript_file(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("torchscript") / "network.pt"
    assert export_detector(trained[0], trained[1], path, "torchscript") <= 1e-4
    return path


def assert_same_maps(found, expected):
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        # Probabilities and angles absolutely, distances relatively.
        torch.testing.assert_close(found[name], wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["onnx_file", "torchscript_file"])
def test_files_give_the_models_maps_and_polygons(trained, kind, request):
    _, model, sample = trained
    detector = load_exported(request.getfixturevalue(kind))
    image = sample["image"]
    # One image of a whole number of strides; two of other sizes, padded to another size yet.
    wide = torch.cat([image, image[:, :, :77]], dim=2)
    batches = [[sample | {"height": 192, "width": 256}], [{"image": wide}, {"image": image[:, 3:]}]]
    for batch in batches:
        with torch.no_grad():
            expected = model.predict_maps(batch)
            instances = model(batch)
        for (maps, size), (wanted, wanted_size) in zip(detector.predict_maps(batch), expected):
            assert size == wanted_size
            assert_same_maps(maps, wanted)
        assert sum(len(i["instances"]) for i in instances) >= 2
        for found, wanted in zip(detector(batch), instances, strict=True):
            found, wanted = found["instances"], wanted["instances"]
            assert len(found) == len(wanted) and found.image_size == wanted.image_size
            torch.testing.assert_close(found.scores, wanted.scores, rtol=0, atol=1e-4)
            for a, b in zip(found.pred_polygons, wanted.pred_polygons):
                np.testing.assert_allclose(a, b, atol=0.01)


def test_an_onnx_file_says_how_to_use_it(trained, onnx_file):
    """With onnxruntime and numpy alone, by the metadata."""
    cfg, model, sample = trained
    onnx.checker.check_model(str(onnx_file), full_check=True)
    session = onnxruntime.InferenceSession(str(onnx_file))
    metadata = json.loads(session.get_modelmeta().custom_metadata_map["vlpt_d2.json"])
    (images,) = session.get_inputs()
    assert images.name == metadata["input"]["name"] and images.shape[1] == 3
    assert all(isinstance(images.shape[axis], str) for axis in (0, 2, 3))
    assert [o.name for o in session.get_outputs()] == metadata["maps"]
    assert metadata["head"] == cfg.MODEL.TEXT_HEAD.NAME and metadata["input"]["divisor"] == 32
    assert metadata["input"]["channels"] == "RGB" and metadata["decoding"]
    found = session.run(None, {images.name: sample["image"].numpy()[None].astype(np.float32)})
    with torch.no_grad():
        ((expected, _),) = model.predict_maps([sample])
    maps = {name: torch.from_numpy(array[0]) for name, array in zip(metadata["maps"], found)}
    assert_same_maps(maps, expected)


def test_a_resnet_is_exported_whole(tmp_path):
    """With random weights, which no norm has seen: the comparison inside is the test."""
    cfg = detector_cfg(HEADS[0], "R-18")
    model = build_model(cfg)
    assert export_detector(cfg, model, tmp_path / "resnet.onnx", "onnx") <= 1e-4
    nodes = onnx.load(tmp_path / "resnet.onnx").graph.node
    # Stem, 16 in the blocks and three shortcuts, four laterals and four 3x3, one in the branch.
    assert sum(node.op_type == "Conv" for node in nodes) == 1 + 16 + 3 + 8 + 1


class Deformable(torch.nn.Module):
    """A modulated deformable convolution that predicts its own offsets."""

    def __init__(self, conv):
        super().__init__()
        settings = (conv.kernel_size, conv.stride, conv.padding)
        taps = conv.kernel_size[0] ** 2
        self.offsets = torch.nn.Conv2d(conv.in_channels, 3 * taps, *settings)
        self.conv = DeformConv2d(conv.in_channels, conv.out_channels, *settings)

    def forward(self, x):
        y, x_, mask = self.offsets(x).chunk(3, dim=1)
        return self.conv(x, torch.cat([y, x_], dim=1), mask.sigmoid())


@pytest.mark.parametrize("file_format", ["onnx", "torchscript"])
def test_deformable_convolutions_are_exported(file_format, tmp_path):
    cfg = detector_cfg(HEADS[0], "tiny")
    model = build_model(cfg)
    model.backbone.stages[2][0] = Deformable(model.backbone.stages[2][0])
    assert export_detector(cfg, model, tmp_path / "deformable", file_format) <= 1e-4
    if file_format == "onnx":
        nodes = onnx.load(tmp_path / "deformable").graph.node
        assert sum(node.op_type == "DeformConv" for node in nodes) == 1


def test_what_cannot_be_exported_is_told(tmp_path):
    cfg = detector_cfg(HEADS[0], "Swin")
    model = build_model(cfg)
    # Tracing freezes the shift masks of the windows.
    with pytest.raises(ExportError, match="SwinTrunk has the size it was exported with built in"):
        export_detector(cfg, model, tmp_path / "swin.pt", "torchscript")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ExportError, match="'coreml', but onnx, torchscript"):
        export_detector(cfg, model, tmp_path / "swin", "coreml")
    with pytest.raises(ExportError, match="this is a ResNetTrunk: set MODEL.META_ARCHITECTURE"):
        resnet = build_model(detector_cfg(HEADS[0])).backbone
        export_detector(cfg, resnet, tmp_path / "x.pt", "torchscript")
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), str(tmp_path / "relu.pt"))
    with pytest.raises(ExportError, match="not written by vlpt-d2 export"):
        load_exported(tmp_path / "relu.pt")
    (tmp_path / "text.pt").write_text("no network")
    with pytest.raises(ExportError, match="no TorchScript file"):
        load_exported(tmp_path / "text.pt")


def test_the_verb(tmp_path, capsys):
    cfg = detector_cfg(HEADS[0])
    (tmp_path / "config.yaml").write_text(cfg.dump())
    model = build_model(cfg)
    TextCheckpointer(model, str(tmp_path), cfg=cfg).save("model")
    command = ["export", "--config-file", str(tmp_path / "config.yaml"), "--format", "torchscript"]
    command += ["--output", str(tmp_path / "out" / "network.pt")]
    assert main(command) == 2
    assert "--weights" in capsys.readouterr().err
    assert main([*command, "--weights", str(tmp_path / "none.pth")]) == 1
    assert "no checkpoint" in capsys.readouterr().err
    assert main([*command, "--weights", str(tmp_path / "model.pth"), "NUM_THREADS", "1"]) == 0
    assert "torchscript, maps within" in capsys.readouterr().out
    sample = text_sample(cfg, (64, 64))
    with torch.no_grad():
        ((expected, _),) = model.eval().predict_maps([sample])
    ((found, _),) = load_exported(tmp_path / "out" / "network.pt").predict_maps([sample])
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-4)
