"""MATLAB files of version 5 to 7, read safely: a broken file is an error, never a crash.

``scipy.io.loadmat`` may end the process on a damaged file, and builds every cell of a large file
at once. This reader knows what ground truth is made of: numbers, strings and cells of them.

Format: MathWorks, "MAT-File Format", version 5: a header of 128 bytes, then elements of a tag (type
and length) and data, padded to 8 bytes; arrays are elements made of elements, in column order.
"""

from __future__ import annotations

import math
import mmap
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .ground_truth import GroundTruthError

__all__ = ["MatFile"]

_HEADER, _TAG, _MATRIX, _COMPRESSED = 128, 8, 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4"}
_NUMBERS |= {7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_ENCODINGS = {2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
# Classes of arrays: cells, characters, and the numeric ones from double to uint64.
_CELL, _CHAR, _NUMERIC = 1, 4, range(6, 16)
_DEEPEST = 8
# Bytes of a variable that is decoded as a whole: the words of one image. Others are decoded cell by
# cell, and no more than this many times as large as they are compressed.
_LARGEST, _INFLATES = 2**24, 64


class MatFile:
    """The variables of one file, decoded when they are asked for.

    Args:
        path: the file; it is memory-mapped, not read.

    Raises:
        FileNotFoundError: no such file.
        GroundTruthError: it is no MATLAB file of these versions, or is damaged.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        with open(path, "rb") as file:
            try:
                self._data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            except ValueError as error:  # an empty file
                raise self._error("is empty") from error
        mark = bytes(self._data[126:128])
        if len(self._data) < _HEADER or mark not in (b"IM", b"MI"):
            raise self._error("is no MATLAB file")
        self._order = "<" if mark == b"IM" else ">"
        if struct.unpack(f"{self._order}H", self._data[124:126])[0] != 0x0100:
            raise self._error("is of MATLAB's version 7.3; save it with the option -v7")
        self._variables = dict(self._scan())

    @property
    def names(self) -> list[str]:
        """Names of the variables, in the order of the file."""
        return list(self._variables)

    def read(self, name: str) -> np.ndarray:
        """Decode a variable.

        Returns:
            Numbers as they are stored; strings as an array of its rows, padding kept; cells as an
            array of objects, which are such arrays.

        Raises:
            KeyError: no such variable.
            GroundTruthError: it is damaged, or of another kind (structs, objects, sparse).
        """
        return self._array(
            self._body(name, _LARGEST, "is larger than any ground truth of an image")
        )

    def length(self, name: str) -> int:
        """Number of elements of a variable.

        Raises:
            KeyError, GroundTruthError: see :meth:`read`.
        """
        return math.prod(self._describe(self._body(name, 4096, None))[1])

    def cells(self, name: str) -> Iterator[np.ndarray]:
        """Decode a cell array one cell after another, in column order.

        Raises:
            KeyError, GroundTruthError: see :meth:`read`; also if it is not a cell array.
        """
        limit = max(_LARGEST, _INFLATES * len(self._variables[name]))
        body = self._body(name, limit, "inflates more than any ground truth")
        kind, shape, rest = self._describe(body)
        if kind != _CELL:
            raise self._error(f"{name} is not a cell array")
        for body in self._cell_bodies(shape, rest):
            yield self._array(body)

    def _scan(self) -> Iterator[tuple[str, memoryview]]:
        """Yield each variable's name and element, compressed or not."""
        rest = self._data[_HEADER:]
        while len(rest) >= _TAG:
            kind, data, following = self._element(rest, padded=False)
            start = data
            if kind == _COMPRESSED:
                # Flags, dimensions and name come first: no need to inflate the numbers.
                start = memoryview(self._inflate(data, 4096))
                kind, start, _ = self._element(start, whole=False)
            if kind == _MATRIX:
                yield self._name(start), rest[: len(rest) - len(following)]
            rest = following

    def _body(self, name: str, limit: int, fault: str | None) -> memoryview:
        """The content of a variable's matrix element, inflated up to a limit.

        A fault is the error where there is more; None: the rest is not needed.
        """
        kind, data, _ = self._element(self._variables[name], padded=False)
        if kind == _COMPRESSED:
            inflated = memoryview(self._inflate(data, limit + (fault is not None)))
            if fault is not None and len(inflated) > limit:
                raise self._error(fault)
            kind, data, _ = self._element(inflated, whole=fault is not None)
        elif fault is not None and len(data) > limit:
            raise self._error(fault)
        return data

    def _inflate(self, data: memoryview, limit: int) -> bytes:
        try:
            return zlib.decompressobj().decompress(data, limit)
        except zlib.error as error:
            raise self._error(f"is damaged ({error})") from error

    def _element(
        self, data: memoryview, padded: bool = True, whole: bool = True
    ) -> tuple[int, memoryview, memoryview]:
        """Split off the first element.

        Args:
            data: starts with its tag.
            padded: whether the next one begins at a multiple of 8 bytes. Compressed elements,
                which are not padded, occur at the top of a file alone.
            whole: whether all of its content has to be there.

        Returns:
            Its type, its content, and what follows it.
        """
        if len(data) < _TAG:
            raise self._error("is cut off")
        first, length = struct.unpack(f"{self._order}II", data[:_TAG])
        if first >> 16:  # the small format: four bytes of content within the tag
            length = first >> 16
            if length > 4:
                raise self._error("is damaged (a small element of more than four bytes)")
            return first & 0xFFFF, data[4 : 4 + length], data[_TAG:]
        if whole and length > len(data) - _TAG:
            raise self._error("is cut off")
        end = _TAG + length
        if padded or first != _COMPRESSED:
            end += -length % 8
        return first, data[_TAG : _TAG + length], data[end:]

    def _describe(self, body: memoryview) -> tuple[int, tuple[int, ...], memoryview]:
        """Class and shape of an array, and the elements after its name."""
        _, flags, rest = self._element(body)
        _, dimensions, rest = self._element(rest)
        _, _, rest = self._element(rest)
        if len(flags) < 4 or len(dimensions) % 4:
            raise self._error("is damaged (an array without class or dimensions)")
        shape = struct.unpack(f"{self._order}{len(dimensions) // 4}i", dimensions)
        # Also where a side of 0 leaves nothing of it.
        elements = math.prod(max(side, 1) for side in shape)
        if not 2 <= len(shape) <= 4 or min(shape) < 0 or elements > len(self._data) * _INFLATES:
            raise self._error(f"is damaged (an array of shape {str(shape)[:60]})")
        return struct.unpack(f"{self._order}I", flags[:4])[0] & 0xFF, shape, rest

    def _name(self, body: memoryview) -> str:
        for _ in range(2):
            _, _, body = self._element(body)
        return bytes(self._element(body)[1]).decode("latin-1")

    def _array(self, body: memoryview, depth: int = 0) -> np.ndarray:
        if depth > _DEEPEST:
            raise self._error(f"has cells nested more than {_DEEPEST} deep")
        if not len(body):
            return np.zeros((0, 0))
        kind, shape, rest = self._describe(body)
        if kind == _CELL:
            cells = [self._array(b, depth + 1) for b in self._cell_bodies(shape, rest)]
            array = np.empty(len(cells), dtype=object)
            array[:] = cells
            return array.reshape(shape, order="F")
        if kind == _CHAR:
            return self._strings(shape, rest)
        if kind not in _NUMERIC:
            raise self._error(f"holds an array of class {kind}; only numbers, strings and cells")
        stored, data, _ = self._element(rest) if math.prod(shape) else (9, rest[:0], rest)
        count = math.prod(shape)
        if stored not in _NUMBERS:
            raise self._error(f"is damaged (numbers of type {stored})")
        dtype = np.dtype(f"{self._order}{_NUMBERS[stored]}")
        if len(data) != count * dtype.itemsize:
            raise self._error(f"is damaged ({len(data)} bytes for {count} numbers)")
        return np.frombuffer(data, dtype).reshape(shape, order="F")

    def _cell_bodies(self, shape: tuple[int, ...], rest: memoryview) -> Iterator[memoryview]:
        count = math.prod(shape)
        if count > len(rest) // _TAG:
            raise self._error(f"is damaged ({count} cells in {len(rest)} bytes)")
        for _ in range(count):
            kind, data, rest = self._element(rest)
            if kind != _MATRIX:
                raise self._error(f"is damaged (a cell of type {kind})")
            yield data

    def _strings(self, shape: tuple[int, ...], rest: memoryview) -> np.ndarray:
        """The rows of a character array; characters lie in column order."""
        rows, columns = math.prod(shape[:-1]), shape[-1]
        if not rows * columns:
            return np.zeros((0,), dtype="U1")
        stored, data, _ = self._element(rest)
        encoding = _ENCODINGS.get(stored)
        if encoding is None:
            raise self._error(f"is damaged (characters of type {stored})")
        if encoding not in ("latin-1", "utf-8"):
            encoding += "-le" if self._order == "<" else "-be"
        text = bytes(data).decode(encoding, errors="replace")
        if len(text) != rows * columns:
            raise self._error(f"is damaged ({len(text)} characters for {rows} x {columns})")
        return np.array(["".join(text[row::rows]) for row in range(rows)])

    def _error(self, fault: str) -> GroundTruthError:
        return GroundTruthError(
            f"{self.path}: no MATLAB file that can be read: it {fault}. Unpack it again or "
            "replace it."
        )
