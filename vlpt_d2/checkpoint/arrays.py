"""The weights of a checkpoint as arrays for an exported graph, read without torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .errors import CheckpointError
from .onnx_file import read_onnx

__all__ = ["read_fused_arrays"]

# That of torch's and detectron2's batch norms; and how the name of a norm's variance ends.
_EPSILON = 1e-5
_NORM = ".running_var"


def read_fused_arrays(path: str, wanted: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Read weights and fold batch norms into convolutions, as :mod:`vlpt_d2.modeling.fusing` does.

    Args:
        path: a file of the model zoo: ``.safetensors``, or PP-OCRv6's ``.onnx``.
        wanted: names of the weights in the detector once the norms are folded, to the axis of
            their output channels.

    Returns:
        float32 arrays by these names.

    Raises:
        CheckpointError: a weight is missing, or see :func:`~.onnx_file.read_onnx`.
    """
    if path.endswith(".onnx"):
        arrays = read_onnx(path)["model"]
    else:
        from safetensors.numpy import load_file

        arrays = {name: np.float32(value) for name, value in load_file(path).items()}
    for norm in [name.removesuffix(_NORM) for name in arrays if name.endswith(_NORM)]:
        # Of a convolution, or after it in a sequence.
        place, _, last = norm.rpartition(".")
        convolution = place if last == "norm" else f"{place}.{int(last) - 1}"
        mean, variance, scale, shift = (
            arrays[f"{norm}.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias")
        )
        weight = arrays[name := f"{convolution}.weight"]
        shape = np.ones(weight.ndim, int)
        shape[wanted.get(name, 0)] = -1
        scale = scale / np.sqrt(variance + _EPSILON)
        arrays[name] = weight * scale.reshape(shape)
        bias = arrays.get(f"{convolution}.bias", np.float32(0))
        arrays[f"{convolution}.bias"] = (bias - mean) * scale + shift
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise CheckpointError(f"{path} has no {missing[0]}: it holds another network")
    return {name: arrays[name] for name in wanted}
