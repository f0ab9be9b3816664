"""PP-OCRv6's ONNX file as weights: the maps are those of onnxruntime."""

import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from detectron2.modeling import build_model
from helpers.pretraining import tiny_vlpt_cfg
from onnx import helper, numpy_helper
from paddle_onnx import write_detector

from vlpt_d2.checkpoint import CheckpointError, TextCheckpointer, read_checkpoint
from vlpt_d2.engine import load_config
from vlpt_d2.model_zoo import config_root, get_config_file

# Of the narrow network in paddle_onnx.
NARROW = ["MODEL.RESNETS.STEM_OUT_CHANNELS", 8, "MODEL.RESNETS.RES2_OUT_CHANNELS", 8]
NARROW += ["MODEL.DB.NECK_CHANNELS", 16]


def detector(*opts):
    opts = ["MODEL.DEVICE", "cpu", *opts]
    cfg = load_config(get_config_file("detection/icdar2015/db_mobile"), opts)
    return cfg, build_model(cfg).eval()


def loaded(path, *opts):
    cfg, model = detector(*opts)
    TextCheckpointer(model, cfg=cfg).load(path, checkpointables=[])
    return model


def photograph(height, width):
    """Bright words on noise, normalised, (1, 3, H, W)."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
    for y in range(24, height, 40):
        cv2.putText(image, "EXIT sale 24", (8, y), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (220,) * 3, 2)
    return torch.from_numpy((image.transpose(2, 0, 1)[None] - 110) / 60).float()


def probability(model, images):
    with torch.no_grad():
        return model.text_head(model.backbone(images))["probability"].numpy()


def assert_same_maps(model, path, sizes):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for size in sizes:
        images = photograph(*size)
        (wanted,) = session.run(None, {"x": images.numpy()})
        assert wanted.shape == (1, 1, *size) and wanted.std() > 0.01
        np.testing.assert_allclose(probability(model, images), wanted, rtol=0, atol=1e-5)


def test_a_file_as_paddle_writes_it_computes_the_same(tmp_path, caplog):
    path = write_detector(tmp_path / "narrow.onnx")
    with caplog.at_level("INFO", "vlpt_d2"):
        model = loaded(path, *NARROW)
    assert_same_maps(model, path, [(64, 96), (32, 32), (96, 160)])
    # Only the threshold branch is new, and nothing of the file is left over.
    assert "stay at their initial values: text_head.threshold 6" in caplog.text
    assert "are not used" not in caplog.text


def test_the_published_file_computes_the_same(ppocr_weights):
    model = loaded(str(ppocr_weights))
    assert_same_maps(model, str(ppocr_weights), [(128, 224), (64, 256)])
    assert probability(model, photograph(128, 224)).max() > 0.9


def test_torchs_exporter_and_back(tmp_path):
    """Biases are inputs of the convolutions here, and GELUs nodes of their own."""
    _, model = detector(*NARROW)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, std=0.3)
    path, images = str(tmp_path / "ours.onnx"), photograph(64, 96)
    forward = model.forward
    model.forward = lambda x: model.text_head(model.backbone(x))["probability"]
    how = {"dynamo": True, "external_data": False, "verbose": False}
    torch.onnx.export(model, (images,), path, input_names=["x"], **how)
    model.forward = forward
    again = loaded(path, *NARROW)
    np.testing.assert_array_equal(probability(again, images), probability(model, images))


def test_pre_training_takes_the_backbone_alone_and_hands_it_on(tmp_path):
    path = write_detector(tmp_path / "narrow.onnx")
    cfg = tiny_vlpt_cfg(tmp_path, norm="")
    cfg.merge_from_file(str(config_root() / "_base_" / "lcnet.yaml"))
    cfg.merge_from_list(NARROW)
    cfg.MODEL.RESNETS.STRIDE_IN_1X1 = False
    pre_training = build_model(cfg)
    TextCheckpointer(pre_training, str(tmp_path), cfg=cfg).load(path, checkpointables=[])
    imported = loaded(path, *NARROW).backbone.state_dict()
    own = pre_training.backbone.bottom_up.state_dict()
    assert imported.keys() == {f"bottom_up.{name}" for name in own}
    assert all(torch.equal(own[name], imported[f"bottom_up.{name}"]) for name in own)

    with torch.no_grad():
        pre_training.backbone.bottom_up.res5[0].expand.bias.add_(1.0)
    TextCheckpointer(pre_training, str(tmp_path), cfg=cfg).save("pretrained")
    found = loaded(str(tmp_path / "pretrained.pth"), *NARROW).backbone.bottom_up
    assert all(torch.equal(own[name], value) for name, value in found.state_dict().items())


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (["MODEL.PIXEL_MEAN", [127.5] * 3], "PIXEL_MEAN is .*127.5.*the file's trunk has"),
        (["INPUT.FORMAT", "RGB"], "INPUT.FORMAT is RGB, the file's trunk has BGR"),
        (["MODEL.RESNETS.NORM", "BN"], "NORM is BN, the file's trunk has ''"),
        (
            ["MODEL.RESNETS.STEM_OUT_CHANNELS", 16],
            "STEM_OUT_CHANNELS is 16, the file's trunk has 8",
        ),
        (["MODEL.RESNETS.VARIANT", "plain", "MODEL.RESNETS.DEPTH", 50], "VARIANT is plain"),
    ],
)
def test_a_config_of_another_network_is_refused(tmp_path, opts, message):
    path = write_detector(tmp_path / "narrow.onnx")
    with pytest.raises(CheckpointError, match=message):
        loaded(path, *NARROW, *opts)


def edited(path, edit):
    model = onnx.load(path)
    edit(model)
    Path(path).write_bytes(model.SerializeToString())
    return path


def without_the_last_convolution(model):
    nodes = [i for i, node in enumerate(model.graph.node) if node.op_type == "ConvTranspose"]
    del model.graph.node[nodes[-1]]


def with_another_kernel(model):
    first = model.graph.initializer[0]
    wide = np.zeros((4, 3, 5, 5), np.float32)
    first.CopyFrom(numpy_helper.from_array(wide, first.name))


def without_a_bias(model):
    node = next(node for node in model.graph.node if node.op_type == "Add")
    node.op_type = "Mul"


def with_a_bias_that_is_computed(model):
    node = next(node for node in model.graph.node if node.op_type == "Conv")
    node.input.append("x")


def with_weights_elsewhere(model):
    first = model.graph.initializer[0]
    first.data_location = onnx.TensorProto.EXTERNAL
    first.ClearField("raw_data")
    entry = first.external_data.add()
    entry.key, entry.value = "location", "weights.bin"


@pytest.mark.parametrize("edit", [with_a_bias_that_is_computed, with_weights_elsewhere])
def test_damaged_graphs_are_refused(tmp_path, edit):
    path = edited(write_detector(tmp_path / "a.onnx"), edit)
    with pytest.raises(CheckpointError, match="a.onnx cannot be read as ONNX.*damaged"):
        read_checkpoint(path)


def as_exported(model):
    helper.set_model_props(model, {"vlpt_d2.json": "{}"})


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (without_the_last_convolution, r"it has 84 convolutions, not 85 \(PP-OCRv6's small"),
        (with_another_kernel, r"has backbone.bottom_up.stem.conv1, it has .*\(5, 5\) with bias"),
        (without_a_bias, r"stem.conv1, it has .*\(3, 3\) without bias"),
        (as_exported, "vlpt-d2 export wrote it, for detection with --backend onnx"),
    ],
)
def test_other_networks_are_refused(tmp_path, edit, message):
    path = edited(write_detector(tmp_path / "a.onnx"), edit)
    with pytest.raises(CheckpointError, match=f"a.onnx is no ONNX file.*{message}.*checkpoint"):
        read_checkpoint(path)


def test_broken_files_and_a_missing_package(tmp_path, monkeypatch):
    path = write_detector(tmp_path / "a.onnx")
    (tmp_path / "cut.onnx").write_bytes((tmp_path / "a.onnx").read_bytes()[:-1000])
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(CheckpointError, match="cut.onnx cannot be read as ONNX"):
        read_checkpoint(str(tmp_path / "cut.onnx"))
    with pytest.raises(CheckpointError, match="empty.onnx is no ONNX file that is read"):
        read_checkpoint(str(tmp_path / "empty.onnx"))
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(CheckpointError, match="pip install 'vlpt-d2"):
        read_checkpoint(path)
