"""open_nsfw's ONNX file as a trunk: its feature maps are those of onnxruntime."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from detectron2.layers import ShapeSpec
from onnx import helper, numpy_helper

from vlpt_d2.checkpoint import CheckpointError, TextCheckpointer
from vlpt_d2.engine import load_config
from vlpt_d2.modeling.backbone.trunk import build_resnet_trunk

CONFIG = "transfer/db_R_50_half.yaml"
NARROW = ["MODEL.RESNETS.STEM_OUT_CHANNELS", 8, "MODEL.RESNETS.RES2_OUT_CHANNELS", 16]
NARROW += ["MODEL.RESNETS.WIDTH_PER_GROUP", 4]
STAGES = ("res2", "res3", "res4", "res5")


def write_trunk(path):
    """A narrow one with random weights, as the published file is, but pooled as in detectron2.

    Written from nsfw_model/deploy.prototxt: the stride of a stage is in its first 1x1 convolutions.
    """
    rng = np.random.default_rng(0)
    nodes, weights = [], []

    def op(kind, *inputs, **attributes):
        nodes.append(helper.make_node(kind, inputs, [f"{kind}_{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def conv(x, c_in, c_out, side, stride=1):
        names = [f"{len(nodes)}_weights_fused_bn", f"{len(nodes)}_bias_fused_bn"]
        scale = np.sqrt(1 / (c_in * side * side))
        weight = rng.normal(0, scale, (c_out, c_in, side, side))
        for name, value in zip(names, (weight, rng.normal(0, 0.3, c_out))):
            weights.append(numpy_helper.from_array(np.float32(value), name))
        return op("Conv", x, *names, strides=[stride] * 2, pads=[side // 2] * 4)

    x = op("Relu", conv("x", 3, 8, 7, 2))
    x = op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    width, c_in, outputs = 4, 8, []
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            stride = 2 if stage and block == 0 else 1
            kept = conv(x, c_in, 4 * width, 1, stride) if block == 0 else x
            y = op("Relu", conv(x, c_in, width, 1, stride))
            y = op("Relu", conv(y, width, width, 3))
            x = op("Relu", op("Add", conv(y, width, 4 * width, 1), kept))
            c_in = 4 * width
        outputs.append(x)
        width *= 2
    infos = [helper.make_tensor_value_info(n, 1, None) for n in ("x", *outputs)]
    graph = helper.make_graph(nodes, "trunk", infos[:1], infos[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return str(path)


def loaded(path, *opts):
    cfg = load_config(CONFIG, ["MODEL.DEVICE", "cpu", *NARROW, *opts])
    model = torch.nn.Module()
    model.backbone = build_resnet_trunk(cfg, ShapeSpec(channels=3))
    TextCheckpointer(model, cfg=cfg).load(path, checkpointables=[])
    return model.backbone.eval()


def test_feature_maps_are_those_of_the_file(tmp_path, caplog):
    path = write_trunk(tmp_path / "open-nsfw.onnx")
    with caplog.at_level("INFO", "vlpt_d2"):
        trunk = loaded(path)
    assert "initial values" not in caplog.text and "not used" not in caplog.text
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    wanted = session.run(None, {"x": images.numpy()})
    with torch.no_grad():
        found = trunk(images)
    for name, expected in zip(STAGES, wanted, strict=True):
        assert expected.std() > 0.01
        np.testing.assert_allclose(found[name].numpy(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (["INPUT.FORMAT", "RGB"], "INPUT.FORMAT is RGB, the file's trunk has BGR"),
        (["MODEL.RESNETS.STRIDE_IN_1X1", False], "STRIDE_IN_1X1 is False"),
        (["MODEL.RESNETS.RES2_OUT_CHANNELS", 32], "RES2_OUT_CHANNELS is 32, the file's .* has 16"),
        (["MODEL.PIXEL_STD", [57.0] * 3], "PIXEL_STD is .*57.0"),
    ],
)
def test_a_config_of_another_trunk_is_refused(tmp_path, opts, message):
    with pytest.raises(CheckpointError, match=message):
        loaded(write_trunk(tmp_path / "open-nsfw.onnx"), *opts)
