"""Exported files against the models they were made of."""

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from detectron2.layers import Conv2d
from detectron2.modeling import build_model
from helpers.detectors import HEADS, TinyBackbone, detector_cfg, overfitted_detector, text_sample
from packaging.version import Version
from PIL import Image

from vlpt_d2.checkpoint import TextCheckpointer
from vlpt_d2.cli.main import main
from vlpt_d2.data.image_io import CorruptImageError, read_image
from vlpt_d2.data.sizes import resize
from vlpt_d2.export import Detector, ExportError, export_detector, load_exported, write
from vlpt_d2.export.bundle import write_bundle
from vlpt_d2.export.network import ExportNetwork
from vlpt_d2.export.quantize import quantize_onnx
from vlpt_d2.modeling.backbone import DeformConv2d


@pytest.fixture(scope="module", params=HEADS)
def trained(request):
    """A config, a detector of it that finds two texts, and the sample that shows them."""
    cfg = detector_cfg(request.param, "tiny", MODEL__TEXT_HEAD__NORM="SyncBN")
    sample = text_sample(cfg)
    return cfg, overfitted_detector(cfg, sample), sample


@pytest.fixture(scope="module")
def onnx_file(trained, tmp_path_factory):
    """By torch.export, which takes ten seconds, the first head; the others as older torch does."""
    path = tmp_path_factory.mktemp("onnx") / "network.onnx"
    with pytest.MonkeyPatch.context() as patch:
        if HEADS[0] != trained[0].MODEL.TEXT_HEAD.NAME:
            patch.setattr(write, "_EXPORTS_PROGRAMS", False)
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
        np.testing.assert_allclose(found[name], wanted.numpy(), rtol=1e-4, atol=1e-4)


def as_array(tensor):
    return np.ascontiguousarray(tensor.numpy().transpose(1, 2, 0))


def test_onnx_files_give_the_models_maps_and_polygons(trained, onnx_file):
    check_file(trained, onnx_file)


# The same trace as that of the other heads' ONNX files.
@pytest.mark.parametrize("trained", ["DBHead", "PSENetHead", "EASTHead"], indirect=True)
def test_torchscript_files_give_the_models_maps_and_polygons(trained, torchscript_file):
    check_file(trained, torchscript_file)


def check_file(trained, file):
    _, model, sample = trained
    detector = load_exported(file)
    image = sample["image"]
    # An image of a whole number of strides; two wider ones, padded.
    wide = torch.cat([image, image[:, :, :77]], dim=2)
    for batch in ([image], [wide[:, 3:], wide[:, :-3]]):
        with torch.no_grad():
            expected = model.predict_maps([{"image": one} for one in batch])
        for maps, (wanted, _) in zip(detector.maps(list(map(as_array, batch))), expected):
            assert_same_maps(maps, wanted)
    # Resized to half, and found in the pixels of the image.
    detector.set(["INPUT.DETECTION.TEST_RESIZE", "fixed"])
    detector.set(["INPUT.DETECTION.TEST_SIZE", str(tuple(image.shape[1:]))])
    large = image.repeat_interleave(2, 1).repeat_interleave(2, 2)
    (texts,) = detector([as_array(large)])
    half = torch.tensor(resize(as_array(large), image.shape[1:])).permute(2, 0, 1)
    with torch.no_grad():
        (wanted,) = model([{"image": half, "height": large.shape[1], "width": large.shape[2]}])
    wanted = wanted["instances"]
    assert len(texts.polygons) == len(wanted) >= 2
    np.testing.assert_allclose(texts.scores, wanted.scores, rtol=0, atol=1e-4)
    for a, b in zip(texts.polygons, wanted.pred_polygons):
        np.testing.assert_allclose(a, b, atol=0.01)
    detector.set(["TEST.SCORE_THRESH", str(float(texts.scores.max()))])
    assert len(detector([as_array(large)])[0].polygons) == 1


def test_every_head_is_a_program_of_any_size(trained):
    """The part of torch's exporter of programs that depends on the network's own code."""
    network = ExportNetwork(trained[1]).eval()
    with torch.no_grad():
        program = torch.export.export(
            network, (network.example(2, 9, 14),), dynamic_shapes=write.dynamic_shapes(network)
        )
        images = network.example(1, 12, 10)
        for found, wanted in zip(program.module()(images), network(images), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


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
    assert_same_maps({name: m[0] for name, m in zip(metadata["maps"], found)}, expected)


@pytest.fixture(scope="module")
def deformable():
    """A config, and a detector of it with two deformable convolutions whose taps have moved."""
    cfg = detector_cfg("DBHead", "tiny")
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    layers = [DeformConv2d(Conv2d(16, 16, 3, 2, 1, bias=False)) for _ in range(2)]
    for layer, stage in zip(layers, model.backbone.stages[1:]):
        torch.nn.init.normal_(layer.offset.weight, std=1e-3)
        torch.nn.init.normal_(layer.offset.bias, std=0.7)
        stage[0] = layer
    return cfg, model, layers


@pytest.mark.parametrize("file_format", ["onnx", "torchscript"])
def test_a_deformable_trunk_is_exported_whole(deformable, file_format, tmp_path):
    cfg, model, layers = deformable
    path = tmp_path / f"deformable.{file_format}"
    if file_format == "onnx" and Version(torch.__version__) < Version("2.7"):
        with pytest.raises(ExportError, match="by torch 2.7 or newer.*TorchScript can hold"):
            export_detector(cfg, model, path, file_format)
        return
    assert export_detector(cfg, model, path, file_format) <= 1e-4
    if file_format == "onnx":
        nodes = Counter(node.op_type for node in onnx.load(path).graph.node)
        assert nodes["DeformConv"] == len(layers)
        # Their offsets, the other two stages, four laterals and four 3x3, one in the branch.
        assert nodes["Conv"] == len(layers) + 2 + 8 + 1
    sample = text_sample(cfg)
    biases = [layer.offset.bias.clone() for layer in layers]
    with torch.no_grad():
        ((expected, _),) = model.predict_maps([sample])
        assert_same_maps(load_exported(path).maps([as_array(sample["image"])])[0], expected)
        # Where the taps are makes a difference.
        for layer in layers:
            layer.offset.bias.zero_()
        ((unmoved, _),) = model.predict_maps([sample])
        for layer, bias in zip(layers, biases):
            layer.offset.bias.copy_(bias)
    assert (unmoved["probability"] - expected["probability"]).abs().max() > 0.01


class SizeBoundBackbone(TinyBackbone):
    """Adds positions that it computes from the width in Python, which tracing freezes."""

    def forward(self, x):
        return super().forward(x + torch.linspace(0, 1, int(x.shape[-1])))


def test_a_file_with_its_size_built_in_is_not_kept(tmp_path):
    cfg = detector_cfg(HEADS[0], "tiny")
    model = build_model(cfg)
    model.backbone.__class__ = SizeBoundBackbone
    with pytest.raises(ExportError, match="SizeBoundBackbone has the size it was exported with"):
        export_detector(cfg, model, tmp_path / "bound.pt", "torchscript")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_told(tmp_path):
    cfg = detector_cfg(HEADS[0])
    model = build_model(cfg)
    with pytest.raises(ExportError, match="'coreml', but onnx, torchscript"):
        export_detector(cfg, model, tmp_path / "x", "coreml")
    with pytest.raises(ExportError, match="this is a ResNetTrunk: set MODEL.META_ARCHITECTURE"):
        resnet = build_model(detector_cfg(HEADS[0])).backbone
        export_detector(cfg, resnet, tmp_path / "x.pt", "torchscript")
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), str(tmp_path / "relu.pt"))
    with pytest.raises(ExportError, match="not written by vlpt-d2 export"):
        load_exported(tmp_path / "relu.pt")
    for name, message in (("text.pt", "no TorchScript file"), ("text.onnx", "no ONNX file")):
        (tmp_path / name).write_text("no network")
        with pytest.raises(ExportError, match=message):
            load_exported(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"nowhere.onnx"):
        load_exported(tmp_path / "nowhere.onnx")


@pytest.mark.parametrize(
    "options, message",
    [
        (["MODEL.DEVICE", "cpu"], "MODEL.DEVICE cannot be set for an exported detector; these"),
        (["MODEL.DB.BOX_THRESH"], "come in pairs"),
        (["MODEL.DB.BOX_THRESH", "high"], "MODEL.DB.BOX_THRESH is 'high'"),
        (["MODEL.DB.BOX_THRESH", "(1, 2)"], r"'\(1, 2\)'; it must be a number"),
        (["INPUT.DETECTION.TEST_RESIZE", "long"], "TEST_RESIZE is one of"),
        (["INPUT.DETECTION.TEST_SIZE", "640"], "TEST_SIZE is '640'; it must be two numbers"),
        (["INPUT.DETECTION.TEST_SIZE", "(640, 'x')"], "it must be two numbers"),
    ],
)
def test_what_cannot_be_set(options, message):
    settings = {
        "keys": {"MODEL.DB.BOX_THRESH": "box_thresh"}, "decoding": {},
        "input": {"resize": "short", "resize_to": [32, 32], "resize_limit": 0},
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        Detector(None, settings).set(options)


def test_wrong_requests(tmp_path, capsys, usual_logging):
    output = ["--output", str(tmp_path / "x")]
    for arguments, status, message in (
        ([], 2, "--model or --config-file"),
        (["--model", "db_mobile", "--config-file", "x.yaml"], 2, "--model or --config-file"),
        (["--model", "db_mobil"], 2, "did you mean 'db_mobile'"),
        (["--model", "db_R_50"], 2, "there are no weights of db_R_50"),
        (["--model", "vlpt_R_50_half"], 2, "vlpt_R_50_half finds no text"),
        (["--model", "db_mobile", "--int8", "nowhere"], 2, "nowhere: no such folder"),
        (["--model", "db_mobile", "--int8", str(tmp_path)], 2, "holds no .jpg or .png image"),
        (["--model", "db_mobile", "--output", str(tmp_path)], 2, "is a folder: name the file"),
        (["--model", "db_mobile", "--format", "torchscript", "--int8", "."], 2, "onnx and bundle"),
    ):
        assert main(["export", *output, *arguments]) == status
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine.txt").touch()
    bundle = ["--model", "db_mobile", "--format", "bundle", "--output"]
    assert main(["export", *bundle, str(tmp_path)]) == 2
    assert "holds other files, such as mine.txt" in capsys.readouterr().err
    assert main(["export", *bundle, str(tmp_path / "mine.txt")]) == 2
    assert "mine.txt is a file: name a new folder" in capsys.readouterr().err
    mine = str(tmp_path / "mine.txt")
    assert main(["export", "--model", "db_mobile", "--weights", mine, "--output", mine]) == 2
    assert "mine.txt is an input and would be overwritten" in capsys.readouterr().err


def test_the_verb(tmp_path, capsys, usual_logging):
    cfg = detector_cfg(HEADS[0])
    (tmp_path / "config.yaml").write_text(cfg.dump())
    model = build_model(cfg)
    TextCheckpointer(model, str(tmp_path), cfg=cfg).save("model")
    command = ["export", "--config-file", str(tmp_path / "config.yaml"), "--format", "torchscript"]
    command += ["--output", str(tmp_path / "out" / "network.pt")]
    assert main(command) == 2
    assert "--weights" in capsys.readouterr().err
    assert main([*command, "--weights", str(tmp_path / "none.pth")]) == 2
    assert "no checkpoint" in capsys.readouterr().err
    assert main([*command, "--weights", str(tmp_path / "model.pth"), "NUM_THREADS", "1"]) == 0
    assert "torchscript, maps within" in capsys.readouterr().out
    sample = text_sample(cfg, (64, 64))
    with torch.no_grad():
        ((expected, _),) = model.eval().predict_maps([sample])
    detector = load_exported(tmp_path / "out" / "network.pt")
    assert_same_maps(detector.maps([as_array(sample["image"])])[0], expected)


@pytest.mark.parametrize("trained", ["DBHead", "PSENetHead"], indirect=True)
def test_a_bundle_works_alone(trained, onnx_file, tmp_path):
    """Where torch, detectron2 and this package cannot be imported."""
    _, _, sample = trained
    settings = load_exported(onnx_file).settings
    folder = tmp_path / "Bündel"
    write_bundle(onnx_file, folder)
    write_bundle(folder / "model.onnx", folder)  # again, from itself
    assert json.loads((folder / "settings.json").read_text())["decoding"] == settings["decoding"]
    image = as_array(sample["image"])
    Image.fromarray(image).save(tmp_path / "a.png")
    (tmp_path / "broken.jpg").touch()
    script = (
        "import runpy, sys\n"
        "for name in ('torch', 'detectron2', 'torchvision', 'vlpt_d2'): sys.modules[name] = None\n"
        "sys.path.insert(0, sys.argv[1].rpartition('/')[0])\nsys.argv.pop(0)\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [
        sys.executable,
        "-I",
        "-c",
        script,
        str(folder / "detect.py"),
        str(tmp_path / "broken.jpg"),
        str(tmp_path / "a.png"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "broken.jpg: cannot be decoded" in done.stderr
    (expected,) = load_exported(onnx_file)([image])
    found = json.loads(done.stdout)["texts"]
    assert len(found) == len(expected.polygons)
    for text, polygon, score in zip(found, expected.polygons, expected.scores):
        np.testing.assert_allclose(text["polygon"], polygon, atol=0.01)
        assert abs(text["score"] - score) < 1e-4


@pytest.mark.parametrize("trained", ["DBHead"], indirect=True)
def test_eight_bits(trained, onnx_file, tmp_path):
    _, _, sample = trained
    path = tmp_path / "int8.onnx"
    path.write_bytes(onnx_file.read_bytes())
    image = as_array(sample["image"])
    quantize_onnx(path, [image, image[::-1]])
    assert [p.name for p in tmp_path.iterdir()] == ["int8.onnx"]
    nodes = Counter(node.op_type for node in onnx.load(path).graph.node)
    assert nodes["QuantizeLinear"] and nodes["DequantizeLinear"] > nodes["Conv"]
    detector = load_exported(path)
    assert detector.settings["precision"] == "int8"
    for maps, expected in zip(detector.maps([image]), load_exported(onnx_file).maps([image])):
        for name, wanted in expected.items():
            assert np.abs(maps[name] - wanted).mean() < 0.1 * max(1, np.abs(wanted).mean())
    with pytest.raises(ExportError, match="no image to calibrate"):
        quantize_onnx(path, [])
    with pytest.raises(CorruptImageError, match=r"empty\.png"):
        quantize_onnx(path, (read_image(b"", name) for name in ["empty.png"]))
