"""ONNX files that are read as weights: those of published networks.

Their weights have numbers or names of another framework, so they are taken in the order in which
the graph computes.
"""

from typing import Any

import numpy as np

from . import open_nsfw, ppocr
from .errors import CheckpointError

__all__ = ["read_onnx"]

# Each module has the network's NAME, its CONVOLUTIONS as computed (name, side of the kernel,
# whether there is a bias) and to_checkpoint(arrays).
_NETWORKS = (ppocr, open_nsfw)


def read_onnx(path: str) -> dict[str, Any]:
    """Read a published ONNX file as a checkpoint.

    Args:
        path: of PP-OCRv6's small text detector or of open_nsfw.

    Returns:
        "model": arrays by our names; "trunk": what is known of it; "meta_architecture" of a whole
        model.

    Raises:
        CheckpointError: the package ``onnx`` is missing, or the file is broken or another network.
    """
    convolutions = _convolutions(path)
    count = len(convolutions)
    network = next((n for n in _NETWORKS if len(n.CONVOLUTIONS) == count), None)
    if network is None:
        known = " or ".join(f"{len(n.CONVOLUTIONS)} ({n.NAME})" for n in _NETWORKS)
        raise _another(path, f"it has {count} convolutions, not {known}")
    arrays = {}
    for (name, kernel, has_bias), (weight, bias) in zip(network.CONVOLUTIONS, convolutions):
        if weight.shape[2:] != (kernel, kernel) or (bias is not None) != has_bias:
            raise _another(
                path,
                f"where {network.NAME} has {name}, it has a convolution of {weight.shape[2:]} "
                f"{'without' if bias is None else 'with'} bias",
            )
        arrays[f"{name}.weight"] = weight
        if bias is not None:
            arrays[f"{name}.bias"] = bias
    return network.to_checkpoint(arrays)


def _another(path: str, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is no ONNX file that is read as weights: {reason}. Load the checkpoint that the "
        "ONNX file was made from"
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
