"""Zip archives of many small files, listed and read in a fraction of zipfile's time and memory.

The layout is that of PKWARE's APPNOTE.TXT, sections 4.3.7 (local header), 4.3.12 (directory),
4.3.14 and 4.3.15 (its end in archives of more than 65,535 files) and 4.3.16 (its end). What is
unusual is left to zipfile, and so is telling what is wrong with a damaged archive.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["BROKEN", "ZipArchive"]

#: What a damaged archive raises. NotImplementedError: an unknown compression; RuntimeError:
#: encrypted.
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    UnicodeDecodeError,
    struct.error,
)

_HEADER = struct.Struct("<4s22xHH")  # lengths of name and extra field
# Flags, compression, checksum, sizes, lengths of name, extra field and comment, place of header.
_ENTRY = struct.Struct("<4s4xHH4xLLLHHH8xL")
_END = struct.Struct("<4s6xHLLH")  # entries, size and place of the directory, length of a comment
_LOCATOR = struct.Struct("<4s4xQ4x")  # place of the larger end
_LARGE_END = struct.Struct("<4s28xQQQ")
_ENCRYPTED, _UTF8 = 0x1, 0x800
_MOST = 0xFFFFFFFF
# Bytes of a member's name and extra field, read together with the member.
_MOST_NAME = 128


class ZipArchive:
    """An archive that is open for reading.

    Args:
        path: the file.

    Raises:
        One of :data:`BROKEN`: it is not a zip archive, or damaged.
    """

    def __init__(self, path: Path):
        self._path = path
        self._zip: zipfile.ZipFile | None = None
        self._file = open(path, "rb")  # noqa: SIM115
        try:
            self._directory, self._places = self._read_directory()
        except struct.error:
            self._directory, self._places = b"", None
        if self._places is None:
            try:
                self._zip = zipfile.ZipFile(path)
            except BaseException:
                self._file.close()
                raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if self._zip is not None:
            self._zip.close()

    def members(self) -> Iterator[tuple[str, int, int | zipfile.ZipInfo]]:
        """Name, size in bytes, and what :meth:`read` takes, of each member."""
        if self._places is None:
            for info in self._opened().infolist():
                yield info.filename, info.file_size, info
            return
        for place in self._places:
            entry = _ENTRY.unpack_from(self._directory, place)
            yield self._name(place, entry), entry[5], place

    def read(self, member: int | zipfile.ZipInfo) -> bytes:
        """The content of a member.

        Raises:
            One of :data:`BROKEN`: it is damaged.
        """
        if isinstance(member, zipfile.ZipInfo):
            return self._opened().read(member)
        entry = _ENTRY.unpack_from(self._directory, member)
        _, flags, method, checksum, packed, size, _, _, _, start = entry
        if flags & _ENCRYPTED == 0 and method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            self._file.seek(start)
            content = self._file.read(_HEADER.size + _MOST_NAME + packed)
            if content[:4] == b"PK\3\4" and len(content) >= _HEADER.size:
                _, name_length, extra_length = _HEADER.unpack_from(content)
                start = _HEADER.size + name_length + extra_length
                data = content[start : start + packed]
                try:
                    if method == zipfile.ZIP_DEFLATED:
                        data = zlib.decompressobj(-15).decompress(data, size + 1)
                except zlib.error:
                    data = b""
                if len(data) == size and zlib.crc32(data) == checksum:
                    return data
        return self._opened().read(self._name(member, entry))

    def _opened(self) -> zipfile.ZipFile:
        if self._zip is None:
            self._zip = zipfile.ZipFile(self._path)
        return self._zip

    def _name(self, place: int, entry: tuple) -> str:
        start = place + _ENTRY.size
        name = self._directory[start : start + entry[6]]
        return name.decode("utf-8" if entry[1] & _UTF8 else "cp437")

    def _read_directory(self) -> tuple[bytes, list[int] | None]:
        """The directory and the places of its entries; no places if zipfile has to look."""
        end_place = self._file.seek(0, 2) - _END.size
        if end_place < 0:
            return b"", None
        self._file.seek(end_place)
        mark, count, size, start, comment = _END.unpack(self._file.read(_END.size))
        if mark != b"PK\5\6" or comment:
            return b"", None
        locator_place = end_place - _LOCATOR.size
        if locator_place >= 0:
            self._file.seek(locator_place)
            mark, large_place = _LOCATOR.unpack(self._file.read(_LOCATOR.size))
            if mark == b"PK\6\7":
                self._file.seek(large_place)
                mark, count, size, start = _LARGE_END.unpack(self._file.read(_LARGE_END.size))
                end_place = large_place
                if mark != b"PK\6\6":
                    return b"", None
        if start + size != end_place:
            return b"", None
        self._file.seek(start)
        directory = self._file.read(size)
        places, place = [], 0
        while place < size:
            mark, _, _, _, packed, unpacked, *lengths, header = _ENTRY.unpack_from(directory, place)
            name_end = place + _ENTRY.size + lengths[0]
            is_odd = (
                b"\0" in directory[place + _ENTRY.size : name_end]
                or b"up" in directory[name_end : name_end + lengths[1]]
                or _MOST in (packed, unpacked, header)
            )
            if mark != b"PK\1\2" or is_odd:
                return b"", None
            places.append(place)
            place += _ENTRY.size + sum(lengths)
        return (directory, places) if place == size and len(places) == count else (b"", None)
