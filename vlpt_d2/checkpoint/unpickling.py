"""An unpickler that is safe on files from untrusted sources.

A pickle is a program: it calls what it names, sets attributes of what it finds, and says how much
memory it wants. Here it builds plain containers and arrays of numbers.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from typing import Any, BinaryIO, ClassVar, cast

import numpy as np

__all__ = ["ArrayUnpickler", "ForeignObjectError"]

_KEYS = (str, bytes, int, float, type(None))
# Sets (their elements are hashed, and hashing deeply nested tuples ends the process), classes of
# old Python and of registries, buffers from elsewhere.
_REFUSED = b"".join(
    [
        *(pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET, pickle.INST, pickle.OBJ),
        *(pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4),
        *(pickle.NEXT_BUFFER, pickle.READONLY_BUFFER),
    ]
)


class ForeignObjectError(pickle.UnpicklingError):
    """The pickle asks for something that is not plain data; the message names it."""


class _Dict(dict):
    """In place of an ``OrderedDict``; attributes that were pickled with it are left out."""

    def __setstate__(self, state: Any) -> None:
        pass


def _ordered_dict(items: Any = ()) -> _Dict:
    return _Dict({_key(key): value for key, value in items})


def _key(value: Any) -> Any:
    # Not nested tuples, as above.
    if not isinstance(value, _KEYS):
        raise pickle.UnpicklingError(f"a key that is {type(value).__name__}")
    return value


# The unpickler in Python: the one in C reserves the memory that a file asks for.
class ArrayUnpickler(pickle._Unpickler):
    """Builds numpy arrays of numbers in plain containers; numpy takes no state from the file.

    Args:
        file: the pickle.
        size: its bytes; what is built holds no more.
    """

    # Of the unpickler in Python, whose stubs leave them out.
    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    read: Callable[[int], bytes]

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        code: load for code, load in pickle._Unpickler.dispatch.items() if code not in _REFUSED
    }

    def __init__(self, file: BinaryIO, size: int):
        names: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): _ordered_dict,
            ("numpy", "dtype"): _Dtype,
            ("numpy", "ndarray"): _ndarray,
            ("_codecs", "encode"): self._encode,
            ("__builtin__", "bytes"): lambda: b"",
        }
        for package in ("numpy.core", "numpy._core"):
            names[f"{package}.multiarray", "_reconstruct"] = _reconstruct
            names[f"{package}.multiarray", "scalar"] = _scalar
            names[f"{package}.numeric", "_frombuffer"] = self._from_buffer
        # Byte strings of Python 2, which detectron2's zoo was written with.
        super().__init__(file, encoding="latin1")
        self._names = names
        self._left = 2 * size  # one for bytes, one for the arrays they become

    def find_class(self, module: str, name: str) -> Any:
        """Return what the reader offers under this name.

        Raises:
            ForeignObjectError: it offers nothing of this name.
        """
        if (module, name) not in self._names:
            raise ForeignObjectError(f"{module}.{name}")
        return self._names[module, name]

    def _build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], (_Dict, _Dtype, _Array)):
            raise pickle.UnpicklingError(f"a state for {type(self.stack[-1]).__name__}")
        cast(Any, self.stack[-1]).__setstate__(state)
        if isinstance(self.stack[-1], _Array):
            self._take(self.stack[-1].nbytes)

    def _set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise pickle.UnpicklingError(f"items of {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_key(key)] = value

    def _load_setitem(self) -> None:
        items, self.stack[-2:] = self.stack[-2:], []
        self._set_items(items)

    def _load_setitems(self) -> None:
        self._set_items(self.pop_mark())

    def _load_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set_items(items)

    def _load_bytearray8(self) -> None:
        # The original reserves its memory before it reads.
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))

    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.SETITEM[0]] = _load_setitem
    dispatch[pickle.SETITEMS[0]] = _load_setitems
    dispatch[pickle.DICT[0]] = _load_dict
    dispatch[pickle.BYTEARRAY8[0]] = _load_bytearray8

    def _take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise pickle.UnpicklingError("its arrays hold more than the file does")

    def _encode(self, text: Any, encoding: Any = "latin1") -> bytes:
        """How protocols before 3 write bytes."""
        if not isinstance(text, str) or encoding != "latin1":
            raise pickle.UnpicklingError(f"bytes of {type(text).__name__}")
        self._take(len(text))
        return text.encode("latin1")

    def _from_buffer(self, data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
        """How protocol 5 writes arrays."""
        array = _reconstruct()
        array.__setstate__((1, shape, dtype, order == "F", data))
        self._take(array.nbytes)
        return array


class _Dtype:
    """In place of ``numpy.dtype``: bools, integers and floats."""

    def __init__(self, code: Any, *_: Any):
        if not isinstance(code, str) or not re.fullmatch(r"[<>|=]?[fiub][1248]", code):
            kind = repr(code[:20]) if isinstance(code, str) else type(code).__name__
            raise ForeignObjectError(f"an array of {kind}")
        self.value = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        _, order, *rest = state
        if order not in ("<", ">", "|", "=") or any(part is not None for part in rest[:3]):
            raise ForeignObjectError("an array of records")
        self.value = self.value.newbyteorder(order)


class _Array(np.ndarray):
    """An array that takes its content after it was made, as pickles want it, and checks it."""

    def __setstate__(self, state: Any) -> None:
        *_, shape, dtype, fortran, data = state
        if isinstance(data, str):  # of Python 2
            data = data.encode("latin1")
        if not isinstance(data, bytes | bytearray) or not isinstance(dtype, _Dtype):
            raise pickle.UnpicklingError("an array without bytes or without a type")
        if (
            not isinstance(shape, tuple)
            or len(shape) > 32
            or not all(isinstance(n, int) and n >= 0 for n in shape)
        ):
            raise pickle.UnpicklingError("an array without a shape")
        if math.prod(shape) * dtype.value.itemsize != len(data):
            raise pickle.UnpicklingError(f"an array of another size than its {len(data)} bytes")
        native = dtype.value.newbyteorder("=")
        if native != dtype.value:
            data = np.frombuffer(data, dtype.value).astype(native).tobytes()
        # numpy's stubs want its own bool.
        whole: Any = (1, shape, native, bool(fortran), bytes(data))
        super().__setstate__(whole)


def _ndarray(*_: Any) -> None:
    # Pickles of arrays name it and do not call it.
    raise ForeignObjectError("numpy.ndarray")


def _reconstruct(*_: Any) -> _Array:
    # Of a type that no weight has, until its content comes.
    return np.ndarray.__new__(_Array, 0, "V1")


def _scalar(dtype: Any, data: Any) -> Any:
    array = _reconstruct()
    array.__setstate__((1, (), dtype, False, data))
    return array[()]
