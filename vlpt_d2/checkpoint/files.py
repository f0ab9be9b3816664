"""Reading weight files without running code that they may carry."""

import collections
import io
import json
import pickle
from typing import Any, BinaryIO

import numpy as np
import torch
from detectron2.utils.file_io import PathManager
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors_bytes

from .errors import CheckpointError
from .ppocr import read_ppocr
from .torchscript import is_torchscript, read_torchscript

__all__ = ["read_checkpoint"]

# What detectron2's ".pkl" files are made of: numpy arrays in plain containers.
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
}


def read_checkpoint(path: str) -> dict[str, Any]:
    """Read a ``.pth``, ``.pt``, ``.pkl``, ``.safetensors`` or ``.onnx`` file from a local disk.

    ``torch.load`` runs with ``weights_only``; pickles of detectron2's zoo may hold arrays and
    plain containers only; of TorchScript archives the tensors are read and the program is not;
    of ONNX files there is one that is read, see :mod:`.ppocr`.

    Args:
        path: the file.

    Returns:
        A dict with "model", a plain dict of tensors, and whatever else the file holds ("trunk",
        "trainer", "iteration", "__author__" …).

    Raises:
        CheckpointError: the file is no checkpoint, is cut off, or holds other things than
            tensors, arrays and plain containers.
    """
    if path.endswith(".pkl"):
        content = _read_pickle(path)
    elif path.endswith(".safetensors"):
        content = _read_safetensors(path)
    elif path.endswith(".onnx"):
        content = read_ppocr(path)
    elif is_torchscript(path):
        content = _read_torchscript(path)
    else:
        content = _read_torch(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a dict of weights")
    content = _find_weights(content)
    weights = {str(k): _as_tensor(path, k, v) for k, v in content["model"].items()}
    # Several processes: every key carries the wrapper's name.
    if weights and all(key.startswith("module.") for key in weights):
        weights = {key.removeprefix("module."): value for key, value in weights.items()}
    return {**content, "model": weights}


def _find_weights(content: dict[str, Any]) -> dict[str, Any]:
    # A plain dict on purpose: torch's state dicts carry versions of the modules they came from,
    # which FrozenBatchNorm2d would take for its own.
    if isinstance(content.get("model"), dict):
        return dict(content)
    for name in ("state_dict", "model_state"):
        if isinstance(content.get(name), dict):
            return {"model": content[name]}
    if isinstance(content.get("blobs"), dict):
        return {"model": content["blobs"]}
    return {"model": content}


def _as_tensor(path: str, key: str, value: Any) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(np.array(value))
    raise CheckpointError(
        f"{path}: {key!r} is a {type(value).__name__}, not a tensor; save the model's state dict "
        'alone, as {"model": model.state_dict()}'
    )


def _read_torch(path: str) -> Any:
    try:
        with PathManager.open(path, "rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} cannot be read as plain tensors: {_reason(error)}. It is cut off, no "
            "checkpoint, or holds other objects; if you trust where it comes from, load it "
            "with torch.load(..., weights_only=False) and save its state dict alone"
        ) from error


def _reason(error: Exception) -> str:
    """What torch's message says is wrong: it may be empty, or come after much advice."""
    text = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def _read_torchscript(path: str) -> dict[str, torch.Tensor]:
    try:
        return read_torchscript(path)
    except Exception as error:
        # A broken archive can fail in any way.
        raise CheckpointError(
            f"{path} is a TorchScript archive whose tensors cannot be read: {error}. If you trust "
            "where it comes from, load it with torch.jit.load and save its state dict with "
            "torch.save"
        ) from error


def _read_safetensors(path: str) -> dict[str, Any]:
    try:
        with PathManager.open(path, "rb") as file:
            data = file.read()
        weights = load_safetensors_bytes(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is cut off or no safetensors file: {error}") from error
    content: dict[str, Any] = {"model": weights}
    metadata = header.get("__metadata__", {})
    if "trunk" in metadata:
        content["trunk"] = json.loads(metadata["trunk"])
    return content


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler that knows arrays and plain containers, nothing else."""

    def __init__(self, file: BinaryIO):
        # Strings of Python 2, which detectron2's zoo was written with.
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core", "numpy.core")
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        if module == "numpy.core.multiarray":
            return getattr(
                np._core.multiarray if hasattr(np, "_core") else np.core.multiarray, name
            )
        if module == "numpy":
            return getattr(np, name)
        return collections.OrderedDict if module == "collections" else _encode


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How pickles of Python 2 write bytes."""
    return text.encode(encoding)


def _read_pickle(path: str) -> Any:
    with PathManager.open(path, "rb") as file:
        data = io.BytesIO(file.read())
    try:
        return _ArrayUnpickler(data).load()
    except Exception as error:
        # A broken pickle can fail in any way.
        raise CheckpointError(
            f"{path} cannot be read as arrays in plain containers: {error}. If you trust where it "
            "comes from, unpickle it yourself and save its weights with torch.save as a dict of "
            "tensors"
        ) from error
