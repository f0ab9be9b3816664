"""A narrow PP-OCRv6 detector with random weights, as an ONNX file written node by node.

It has the form of the published file: convolutions without a bias input, biases added after them in
(1, C, 1, 1), Identity nodes in between, weights that are numbered.
"""

import math

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

BLOCKS = (2, 3, 5, 3)


class PaddleGraph:
    """Collects nodes and weights; methods take and return names of tensors."""

    def __init__(self, seed=0):
        self.nodes, self.weights = [], []
        self.rng = np.random.default_rng(seed)

    def op(self, kind, *inputs, **attributes):
        name = f"{kind}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        if kind in ("Add", "Concat"):
            return self.op("Identity", name)
        return name

    def weight(self, array):
        name = f"w_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def conv(self, x, c_in, c_out, side, *, stride=1, groups=1, bias=True, same=False):
        pads = {"auto_pad": "SAME_UPPER"} if same else {"pads": [side // 2] * 4}
        shape = (c_out, c_in // groups, side, side)
        w = self.weight(self.rng.normal(0, 0.9 / math.sqrt(math.prod(shape[1:])), shape))
        x = self.op("Conv", x, w, strides=[stride] * 2, group=groups, **pads)
        return self.biased(x, c_out) if bias else x

    def biased(self, x, channels):
        return self.op("Add", x, self.weight(self.rng.normal(0, 0.3, (1, channels, 1, 1))))

    def upconv(self, x, c_in, c_out):
        w = self.weight(self.rng.normal(0, math.sqrt(2 / c_in), (c_in, c_out, 2, 2)))
        x = self.op("ConvTranspose", x, self.op("Identity", w), strides=[2, 2])
        return self.biased(x, c_out)

    def gelu(self, x):
        erf = self.op("Erf", self.op("Div", x, self.weight(math.sqrt(2))))
        product = self.op("Mul", x, self.op("Add", erf, self.weight(1.0)))
        return self.op("Mul", product, self.weight(0.5))

    def squeeze(self, x, channels, slope):
        y = self.op("ReduceMean", x, axes=[2, 3], keepdims=1)
        y = self.op("Relu", self.conv(y, channels, channels // 4, 1))
        y = self.conv(y, channels // 4, channels, 1)
        return self.op("Mul", x, self.op("HardSigmoid", y, alpha=slope, beta=0.5))

    def enlarged(self, x, factor):
        scales = self.weight([1, 1, factor, factor])
        how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.op("Resize", x, self.weight([]), scales, mode="nearest", **how)


def write_detector(path, width=8, neck=16):
    """Write the file; ``width``: channels of stem and res2; ``neck``: of the neck."""
    g = PaddleGraph()
    x = _stem(g, "x", width)
    levels = []
    for stage, count in enumerate(BLOCKS):
        c = width * 2**stage
        for j in range(count):
            strided = stage > 0 and j == 0
            c_in = c // 2 if strided else c
            x = g.conv(x, c_in, c_in, 3, stride=2 if strided else 1, groups=c_in)
            if j % 2 == (0 if stage == 0 else 1):
                x = g.squeeze(x, c_in, 1 / 6)
            y = g.conv(g.gelu(g.conv(x, c_in, 2 * c_in, 1)), 2 * c_in, c, 1)
            x = y if strided else g.op("Add", x, y)
        levels.append((x, c))
    probability = _head(g, _neck(g, levels, neck), neck)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", c, "h", "w"])
        for name, c in (("x", 3), (probability, 1))
    ]
    graph = helper.make_graph(g.nodes, "detector", ends[:1], ends[1:], g.weights)
    opset = [helper.make_opsetid("", 11)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return str(path)


def _stem(g, x, width):
    half, quarter = width // 2, width // 4
    x = g.op("Relu", g.conv(x, 3, half, 3, stride=2))
    y = g.op("Relu", g.conv(x, half, quarter, 2, same=True))
    y = g.op("Relu", g.conv(y, quarter, half, 2, same=True))
    pooled = g.op("MaxPool", x, kernel_shape=[2, 2], auto_pad="SAME_UPPER")
    x = g.op("Concat", pooled, y, axis=1)
    x = g.op("Relu", g.conv(x, 2 * half, half, 3, stride=2))
    return g.op("Relu", g.conv(x, half, width, 1))


def _attended(g, x, c_in, c_out):
    x = g.conv(x, c_in, c_out, 1, bias=False)
    return g.op("Add", x, g.squeeze(x, c_out, 0.2))


def _neck(g, levels, neck):
    """The concatenated levels, coarse to fine."""
    sums = [_attended(g, x, c, neck) for x, c in reversed(levels)]
    for i in range(1, 4):
        sums[i] = g.op("Add", sums[i], g.enlarged(sums[i - 1], 2))
    smooth = [_attended(g, g.conv(x, neck, neck, 7, groups=neck), neck, neck // 4) for x in sums]
    return g.op("Concat", *map(g.enlarged, smooth[:3], (8, 4, 2)), smooth[3], axis=1)


def _head(g, x, neck):
    x = g.op("Relu", g.conv(x, neck, neck // 4, 3))
    x = g.op("Relu", g.upconv(x, neck // 4, neck // 4))
    return g.op("Sigmoid", g.upconv(x, neck // 4, 1))
