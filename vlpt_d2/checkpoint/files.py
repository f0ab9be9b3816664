"""Reading weight files without running code that they may carry."""

import io
import json
import os
import pickle
import re
import warnings
import zipfile
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_safetensors_bytes

from .errors import CheckpointError
from .onnx_file import read_onnx
from .unpickling import ArrayUnpickler, ForeignObjectError

__all__ = ["read_checkpoint"]

_CONVERT = (
    "Such a file holds a program, which is not run here. If you trust it, write its weights to a "
    'file of their own: python -c "import torch; '
    "torch.save(torch.jit.load('{}', 'cpu').state_dict(), 'weights.pth')\""
)

_SAVE = (
    'Save only the model\'s state dict, where it was trained: torch.save({"model": '
    "model.state_dict()}, path)"
)


def read_checkpoint(path: str) -> dict[str, Any]:
    """Read a ``.pth``, ``.pt``, ``.pkl``, ``.safetensors`` or ``.onnx`` file from a local disk.

    ``torch.load`` runs with ``weights_only``, after the checksums of the file's parts are
    compared; pickles of detectron2's zoo may hold arrays and plain containers only; of ONNX files
    there is one that is read, see :mod:`.ppocr`.

    Args:
        path: the file.

    Returns:
        A dict with "model", a plain dict of tensors, and whatever else the file holds ("trunk",
        "trainer", "iteration", "__author__" …; "base" names the model of the zoo that has the
        other weights).

    Raises:
        OSError: the file cannot be opened.
        CheckpointError: the file is not a checkpoint, is damaged or cut off, or holds other things
            than tensors, arrays and plain containers.
    """
    with open(path, "rb"):
        pass  # else a missing file would be reported as a damaged one
    try:
        return _read(path)
    except CheckpointError:
        raise
    except ForeignObjectError as error:
        raise CheckpointError(
            f"{path} holds {_reason(error)}, which is not loaded because it could run code. {_SAVE}"
        ) from error
    except Exception as error:
        # What is damaged can fail in any way.
        raise CheckpointError(
            f"{path} is damaged, cut off or no checkpoint ({_reason(error)}). Download or copy it "
            "again"
        ) from error


def _read(path: str) -> dict[str, Any]:
    if path.endswith(".pkl"):
        content = _read_pickle(path)
    elif path.endswith(".safetensors"):
        content = _read_safetensors(path)
    elif path.endswith(".onnx"):
        content = read_onnx(path)
    else:
        content = _read_torch(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a dict of weights")
    content = _find_weights(_plain(content))
    size = os.path.getsize(path)
    weights = {_text(key): _as_tensor(path, size, key, v) for key, v in content["model"].items()}
    # Several processes: every key carries the wrapper's name.
    if weights and all(key.startswith("module.") for key in weights):
        weights = {key.removeprefix("module."): value for key, value in weights.items()}
    _check_description(path, content)
    return {**content, "model": weights}


def _plain(content: dict[Any, Any]) -> dict[Any, Any]:
    """A dict's items and nothing else: files may set attributes of it, even its methods."""
    return dict(dict.items(content))


def _find_weights(content: dict[str, Any]) -> dict[str, Any]:
    # A plain dict on purpose: torch's state dicts carry versions of the modules they came from,
    # which FrozenBatchNorm2d would take for its own.
    if isinstance(content.get("model"), dict):
        return {**content, "model": _plain(content["model"])}
    for name in ("state_dict", "model_state", "blobs"):
        if isinstance(content.get(name), dict):
            return {"model": _plain(content[name])}
    return {"model": content}


def _text(key: Any) -> str:
    text = str(key)
    text.encode()  # half a character, which nothing could print or write
    return text


def _as_tensor(path: str, size: int, key: Any, value: Any) -> torch.Tensor:
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        # Arrays of ONNX files may be read-only.
        return torch.from_numpy(np.require(value.view(np.ndarray), requirements="W"))
    if not isinstance(value, torch.Tensor) or value.is_meta or value.layout != torch.strided:
        raise CheckpointError(
            f"{path}: {str(key)!r} is a {type(value).__name__}, not a tensor of numbers. {_SAVE}"
        )
    if value.nbytes > size:  # repeats its numbers
        raise CheckpointError(f"{path}: {str(key)!r} is larger than the file. {_SAVE}")
    return value


def _check_description(path: str, content: dict[str, Any]) -> None:
    """Whether what is known of the weights has the form that its readers expect."""
    if not isinstance(content.get("meta_architecture"), str | None):
        raise CheckpointError(f"{path}: its meta_architecture is not a name. {_SAVE}")
    trunk = content.get("trunk")
    if trunk is not None and not (
        isinstance(trunk, dict) and all(_is_entry(key, value) for key, value in trunk.items())
    ):
        raise CheckpointError(
            f"{path}: its description of the trunk is damaged. Download or copy the file again, "
            "or write it again with tools/extract_trunk.py"
        )


def _is_entry(key: Any, value: Any) -> bool:
    if key in ("pixel_mean", "pixel_std"):
        return isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value)
    return isinstance(key, str) and isinstance(value, str | int | float)


def _reason(error: BaseException) -> str:
    """What is wrong, in one line, without advice."""
    text = str(error).strip()
    line = text.splitlines()[0] if text else ""
    # The file may have written it, for whoever's terminal shows it.
    line = "".join(character if character.isprintable() else "?" for character in line[:200])
    return line.rstrip(".") or type(error).__name__


def _read_torch(path: str) -> Any:
    _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own message is advice to load the file unsafely; what is wrong comes before.
        cause = error.__context__ or error
        if match := re.search(r"GLOBAL (\S+)", str(cause)):
            raise ForeignObjectError(match[1]) from error
        raise pickle.UnpicklingError(_reason(cause)) from error


def _check_archive(path: str) -> None:
    """Compare the checksums in the zip archive that torch writes, which it does not do itself.

    Raises:
        Exception: of any kind where the archive is damaged.
    """
    with open(path, "rb") as file:
        if file.read(4) != b"PK\3\4":
            return  # written before torch 1.6
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if any(entry.filename.endswith("/constants.pkl") for entry in entries):
                raise CheckpointError(f"{path} is a TorchScript archive. {_CONVERT.format(path)}")
            if sum(entry.file_size for entry in entries) > os.path.getsize(path):
                raise zipfile.BadZipFile("it unpacks to more than it is")
            for entry in entries:
                # torch.serialization.set_crc32_options(False) leaves it out.
                if entry.CRC:
                    with archive.open(entry) as part:
                        while part.read(1 << 20):
                            pass


def _read_safetensors(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        data = file.read()
    content: dict[str, Any] = {"model": load_safetensors_bytes(data)}
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata = header.get("__metadata__", {})
    if "trunk" in metadata:
        content["trunk"] = json.loads(metadata["trunk"])
    if "base" in metadata:
        content["base"] = metadata["base"]
    return content


def _read_pickle(path: str) -> Any:
    with open(path, "rb") as file:
        data = file.read()
    return ArrayUnpickler(io.BytesIO(data), len(data)).load()
