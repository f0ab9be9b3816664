"""PP-OCRv6's small text detector, read from its published ONNX file.

PaddleOCR numbers its weights instead of naming them, so they are taken in the order in which the
graph computes. The file holds the merged network without the threshold branch, which only training
needs. ``configs/_base_/db_mobile.yaml`` is the model it loads into.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .errors import CheckpointError

__all__ = ["read_ppocr"]

_BLOCKS = (2, 3, 5, 3)
# PaddleOCR, configs/det/PP-OCRv6/PP-OCRv6_small_det.yml: ImageNet's numbers, in RGB's order, on
# the BGR images of OpenCV.
_TRUNK = {
    "variant": "lcnet",
    "depth": sum(_BLOCKS),
    "num_groups": 1,
    "stride_in_1x1": False,
    "norm": "",
    "input_format": "BGR",
    "pixel_mean": [123.675, 116.28, 103.53],
    "pixel_std": [58.395, 57.12, 57.375],
}


def read_ppocr(path: str) -> dict[str, Any]:
    """Read the detector's ONNX file as a checkpoint of our TextDetector.

    Args:
        path: such as ``rapidocr/models/PP-OCRv6_det_small.onnx`` of the wheel rapidocr 3.10.0.

    Returns:
        "model": arrays by our names; "meta_architecture"; "trunk": what is known of it.

    Raises:
        CheckpointError: the package ``onnx`` is missing, or the file is broken or another network.
    """
    names, convolutions = list(_names()), _convolutions(path)
    model = {}
    for (name, kernel, has_bias), (weight, bias) in zip(names, convolutions):
        if weight.shape[2:] != (kernel, kernel) or (bias is not None) != has_bias:
            raise _another(
                path,
                f"where {name} is expected it has a convolution of {weight.shape[2:]} "
                f"{'without' if bias is None else 'with'} bias",
            )
        model[f"{name}.weight"] = weight
        if bias is not None:
            model[f"{name}.bias"] = bias
    if len(names) != len(convolutions):
        raise _another(path, f"it has {len(convolutions)} convolutions, not {len(names)}")
    stem = "backbone.bottom_up.stem.conv5.weight"
    res2 = "backbone.bottom_up.res2.0.project.weight"
    widths = {
        "stem_out_channels": model[stem].shape[0],
        "res2_out_channels": model[res2].shape[0],
    }
    return {"model": model, "meta_architecture": "TextDetector", "trunk": _TRUNK | widths}


def _another(path: str, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is not PP-OCRv6's small text detector, the one ONNX file that is read as weights: "
        f"{reason}. Load the checkpoint that the ONNX file was made from"
    )


def _convolutions(path: str) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Weight and bias of each convolution, in the order of the graph."""
    try:
        import onnx
    except ImportError as error:
        raise CheckpointError(
            f"reading {path} needs the package onnx: pip install 'vlpt-d2[export]'"
        ) from error
    try:
        # Weights in files of their own are not looked for: the published file has none.
        model = onnx.load(path, load_external_data=False)
        found = _weights_and_biases(model.graph)
    except Exception as error:
        # A broken file can fail in any way, and protobuf's errors differ between its versions.
        raise CheckpointError(
            f"{path} cannot be read as ONNX; it may be cut off or damaged: {error}"
        ) from error
    if any(entry.key == "vlpt_d2.json" for entry in model.metadata_props):
        raise _another(path, "vlpt-d2 export wrote it, for detection with --backend onnx")
    return found


def _names() -> Iterator[tuple[str, int, bool]]:
    """Name, side of the kernel and presence of a bias of each convolution, as computed."""
    for i, kernel in enumerate((3, 2, 2, 3, 1)):
        yield f"backbone.bottom_up.stem.conv{i + 1}", kernel, True
    for stage, blocks in enumerate(_BLOCKS):
        for j in range(blocks):
            block = f"backbone.bottom_up.res{stage + 2}.{j}"
            yield f"{block}.depthwise", 3, True
            if j % 2 == (stage > 0):
                yield from _squeeze(block)
            yield f"{block}.expand", 1, True
            yield f"{block}.project", 1, True
    for part in ("laterals", "smooths"):
        for level in reversed(range(len(_BLOCKS))):
            if part == "smooths":
                yield f"text_head.neck.depthwise.{level}", 7, True
            yield f"text_head.neck.{part}.{level}.conv", 1, False
            yield from _squeeze(f"text_head.neck.{part}.{level}")
    for layer, kernel in ((0, 3), (3, 2), (6, 2)):
        yield f"text_head.probability.{layer}", kernel, True


def _squeeze(parent: str) -> Iterator[tuple[str, int, bool]]:
    for layer in ("fc1", "fc2"):
        yield f"{parent}.squeeze.{layer}", 1, True


def _weights_and_biases(graph: Any) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """A bias is an input of the convolution or, as Paddle writes it, added after it."""
    from onnx.numpy_helper import to_array

    constants = {tensor.name: tensor for tensor in graph.initializer}
    sources: dict[str, str] = {}
    added: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = node.attribute[0].t
        elif node.op_type == "Identity":
            sources[node.output[0]] = sources.get(node.input[0], node.input[0])
        elif node.op_type == "Add":
            left, right = (sources.get(name, name) for name in node.input)
            if right in constants:
                added[left] = right
    found = []
    for node in graph.node:
        if node.op_type not in ("Conv", "ConvTranspose"):
            continue
        _, *inputs = (sources.get(name, name) for name in node.input)
        bias = inputs[1] if len(inputs) > 1 else added.get(node.output[0])
        if inputs[0] in constants:
            weight = to_array(constants[inputs[0]])
            found.append((weight, None if bias is None else to_array(constants[bias]).reshape(-1)))
    return found
