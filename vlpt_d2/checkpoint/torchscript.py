"""The tensors of a TorchScript archive, without running the code it holds.

Such a file (OpenAI's CLIP is published as one) is a zip archive: a program in ``code/``, a pickle
of the module's attributes in ``data.pkl``, and the tensors' bytes in ``data/``. Only the latter
two are read here, and of the pickle's objects only their attributes.
"""

import os
import pickle
import zipfile
from collections.abc import Iterator
from typing import Any

import torch

from .unpickling import PlainUnpickler

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


# Attributes of attributes; a module that holds another twice names its tensors twice.
_MOST_NAMES = 1_000_000


class _Object:
    """Whatever the program's classes are: a bag of attributes."""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


def is_torchscript(path: str) -> bool:
    """Whether a file is a zip archive with a program in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False
    return _root(names) is not None and any("/code/" in name for name in names)


def read_torchscript(path: str) -> dict[str, torch.Tensor]:
    """Read the parameters and buffers of the archive's module, by the names of a state dict.

    Args:
        path: a file for which :func:`is_torchscript` holds.

    Raises:
        ForeignObjectError: its attributes hold other things than modules, tensors and plain
            values.
        Exception: of any kind where it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        root, size = _root(archive.namelist()), os.path.getsize(path)
        entry = archive.getinfo(f"{root}/data.pkl")
        if entry.file_size > size:
            raise pickle.UnpicklingError("its attributes are larger than the file")
        with archive.open(entry) as file:
            reader = _ModuleUnpickler(file, archive, f"{root}/data", size)
            module = reader.load()
    tensors: dict[str, torch.Tensor] = {}
    _collect(module, "", tensors, iter(range(_MOST_NAMES)))
    return tensors


def _root(names: list[str]) -> str | None:
    """The archive's folder, which is named after the file it was first written to."""
    pickles = [n for n in names if n.count("/") == 1 and n.endswith("/data.pkl")]
    return pickles[0].removesuffix("/data.pkl") if pickles else None


def _collect(
    module: Any, prefix: str, tensors: dict[str, torch.Tensor], names: Iterator[int]
) -> None:
    for name, value in vars(module).items() if isinstance(module, _Object) else ():
        if next(names, None) is None:
            raise ValueError(f"it has more than {_MOST_NAMES:,} attributes")
        if isinstance(value, torch.Tensor):
            tensors[prefix + name] = value
        else:
            _collect(value, f"{prefix}{name}.", tensors, names)


class _ModuleUnpickler(PlainUnpickler):
    """Builds modules as bags of attributes, and tensors.

    Args:
        file: the pickle.
        archive: where the tensors' bytes are.
        folder: their folder in it.
        size: the archive's bytes; its tensors have no more.
    """

    def __init__(self, file: Any, archive: zipfile.ZipFile, folder: str, size: int):
        super().__init__(file, _NAMES, (_Object,))
        self._archive = archive
        self._folder = folder
        self._left = size
        self._storages: dict[str, torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return _Object
        return super().find_class(module, name)

    def persistent_load(self, pid: tuple) -> torch.Tensor:
        _, dtype, key, _, count = pid
        if not isinstance(key, str):
            raise pickle.UnpicklingError(f"a tensor named by {type(key).__name__}")
        if key not in self._storages:
            entry = self._archive.getinfo(f"{self._folder}/{key}")
            self._left -= entry.file_size
            if self._left < 0:
                raise pickle.UnpicklingError("its tensors are larger than the file")
            data = bytearray(self._archive.read(entry))
            storage = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
            if len(storage) < count:
                raise pickle.UnpicklingError(f"tensor {key} is cut off")
            self._storages[key] = storage
        return self._storages[key]


def _tensor(storage: torch.Tensor, offset: int, size: tuple, stride: tuple, *_: Any) -> Any:
    return storage.as_strided(size, stride, offset)


def _values(values: Any, *_: Any) -> Any:
    return values


_NAMES = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch.jit._pickle", "restore_type_tag"): _values,
    **{
        ("torch.jit._pickle", f"build_{kind}list"): _values
        for kind in ("int", "double", "bool", "tensor")
    },
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
}
