"""The tensors of a TorchScript archive, without running the code it holds.

Such a file (OpenAI's CLIP is published as one) is a zip archive: a program in ``code/``, a pickle
of the module's attributes in ``data.pkl``, and the tensors' bytes in ``data/``. Only the latter
two are read here, and of the pickle's objects only their attributes.
"""

import collections
import pickle
import zipfile
from typing import Any

import torch

__all__ = ["is_torchscript", "read_torchscript"]

_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class _Object:
    """Whatever the program's classes are: a bag of attributes."""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


def is_torchscript(path: str) -> bool:
    """Whether a file is a zip archive with a program in it."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return _root(names) is not None and any("/code/" in name for name in names)


def read_torchscript(path: str) -> dict[str, torch.Tensor]:
    """Read the parameters and buffers of the archive's module, by the names of a state dict.

    Args:
        path: a file for which :func:`is_torchscript` holds.

    Raises:
        pickle.UnpicklingError: its attributes hold other things than modules, tensors and plain
            values.
        RuntimeError, KeyError, zipfile.BadZipFile: it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        root = _root(archive.namelist())
        with archive.open(f"{root}/data.pkl") as file:
            module = _ModuleUnpickler(file, archive, f"{root}/data").load()
    tensors: dict[str, torch.Tensor] = {}
    _collect(module, "", tensors)
    return tensors


def _root(names: list[str]) -> str | None:
    """The archive's folder, which is named after the file it was first written to."""
    pickles = [n for n in names if n.count("/") == 1 and n.endswith("/data.pkl")]
    return pickles[0].removesuffix("/data.pkl") if pickles else None


def _collect(module: Any, prefix: str, tensors: dict[str, torch.Tensor]) -> None:
    for name, value in vars(module).items() if isinstance(module, _Object) else ():
        if isinstance(value, torch.Tensor):
            tensors[prefix + name] = value
        else:
            _collect(value, f"{prefix}{name}.", tensors)


class _ModuleUnpickler(pickle.Unpickler):
    """An unpickler that knows modules as bags of attributes, tensors and plain containers."""

    def __init__(self, file: Any, archive: zipfile.ZipFile, folder: str):
        super().__init__(file)
        self._archive = archive
        self._folder = folder
        self._storages: dict[str, torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return _Object
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) in _FUNCTIONS:
            return _FUNCTIONS[module, name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: tuple) -> torch.Tensor:
        _, dtype, key, _, count = pid
        if key not in self._storages:
            data = bytearray(self._archive.read(f"{self._folder}/{key}"))
            storage = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
            if len(storage) < count:
                raise pickle.UnpicklingError(f"tensor {key} is cut off")
            self._storages[key] = storage
        return self._storages[key]


def _tensor(storage: torch.Tensor, offset: int, size: tuple, stride: tuple, *_: Any) -> Any:
    return storage.as_strided(size, stride, offset)


def _values(values: Any, *_: Any) -> Any:
    return values


_FUNCTIONS = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch.jit._pickle", "restore_type_tag"): _values,
    **{
        ("torch.jit._pickle", f"build_{kind}list"): _values
        for kind in ("int", "double", "bool", "tensor")
    },
}
