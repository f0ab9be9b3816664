"""Checksums against damage: of files, and of JSON within itself."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["file_crc", "json_checksum", "with_checksum"]

_KEY = "checksum"


def file_crc(path: str | Path) -> int:
    """CRC-32 of a file."""
    crc = 0
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            crc = zlib.crc32(chunk, crc)
    return crc


def json_checksum(data: Mapping[str, Any]) -> str:
    """CRC-32 of what JSON holds, as 8 hexadecimal digits; its entry "checksum" does not count."""
    content = {key: value for key, value in data.items() if key != _KEY}
    return f"{zlib.crc32(json.dumps(content, sort_keys=True).encode()):08x}"


def with_checksum(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same with an entry "checksum"."""
    return {**data, _KEY: json_checksum(data)}
