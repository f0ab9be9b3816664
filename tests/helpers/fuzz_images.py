"""Broken and odd image files of every kind: each is read, or refused with its name."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from vlpt_d2.data.datasets.image_files import read_header
from vlpt_d2.data.image_io import CorruptImageError
from vlpt_d2.data.sample import load_sample

from .damage import damage
from .fuzzing import Silence, Target

__all__ = ["TARGETS", "chunk", "make_image", "png_header"]

_KINDS = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "LAB"),
    "GIF": ("1", "L", "P", "RGB"),
    "BMP": ("1", "L", "P", "RGB"),
    "WEBP": ("RGB", "RGBA"),
    "PPM": ("1", "L", "RGB", "I;16"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
}
_NAME = "odd image.png"


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png_header(width: int, height: int, pixels: bytes = b"\0" * 1000) -> bytes:
    """A PNG in RGB that says it has a size, with its first pixels and no end."""
    ihdr = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + ihdr + chunk(b"IDAT", zlib.compress(pixels))


def make_image(rng: random.Random) -> bytes:
    """The content of a broken or odd image file."""
    kind = rng.choice(list(_KINDS))
    data = _encoded(kind, rng.choice(_KINDS[kind]), rng)
    for _ in range(rng.choice([1, 1, 1, 2])):
        data = rng.choice(_DAMAGES)(data, rng)
    return data


def _encoded(kind: str, mode: str, rng: random.Random) -> bytes:
    side = rng.choice([1, 2, 17, 64])
    pixels = np.random.default_rng(rng.randrange(2**32))
    image = Image.fromarray(pixels.integers(0, 256, (side, rng.randint(1, 64), 4), dtype=np.uint8))
    if mode in ("I;16", "I", "F"):
        scale = rng.choice([1, 255, 60000, 1e30 if mode == "F" else 2**30])
        dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        values = pixels.random(image.size[::-1]) * min(scale, 65535 if mode == "I;16" else scale)
        if mode == "F":
            values[pixels.random(values.shape) < 0.1] = rng.choice([np.nan, np.inf, -np.inf, 0])
        image = Image.fromarray(values.astype(dtype))
    elif mode == "LAB":
        image = Image.frombytes("LAB", image.size, image.convert("RGB").tobytes())
    elif mode != "RGBA":
        image = image.convert("RGB").convert(mode) if mode != "LA" else image.convert("LA")
    options = {}
    if kind in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF") and rng.random() < 0.5:
        # Pillow writes no junk into these two.
        options["exif"] = _plain_exif(rng) if kind in ("TIFF", "AVIF") else _exif(rng)
    if mode == "P" and rng.random() < 0.5:
        options["transparency"] = rng.randrange(4)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _plain_exif(rng: random.Random) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = rng.randint(0, 9)
    return tags


def _exif(rng: random.Random) -> bytes:
    """Sound EXIF with an orientation, or junk that looks like it."""
    content = _plain_exif(rng).tobytes()
    return damage(content, rng) if rng.random() < 0.6 else content


def _bit_flips(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 3, 30])):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _truncation(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _zeros(data: bytes, rng: random.Random) -> bytes:
    """A hole, as a copy that was interrupted leaves it, or nothing but zeros."""
    at = rng.choice([0, rng.randrange(len(data) + 1)])
    return data[:at] + bytes(len(data) - at)


def _foreign_head(data: bytes, rng: random.Random) -> bytes:
    other = _encoded(kind := rng.choice(list(_KINDS)), rng.choice(_KINDS[kind]), rng)
    length = rng.choice([2, 4, 8, 16, 64])
    return other[:length] + data[length:]


def _two_in_one(data: bytes, rng: random.Random) -> bytes:
    return data + data[rng.randrange(len(data) + 1) :]


def _huge_size(data: bytes, rng: random.Random) -> bytes:
    """Width and height that the pixels do not fill, from a strip to a bomb."""
    width, height = (rng.choice([1, 10, 60_000, 65_535, 200_000, 2**31 - 1]) for _ in range(2))
    if data.startswith(b"\x89PNG") and len(data) > 33:
        ihdr = struct.pack(">II", width, height) + data[24:29]
        return data[:8] + chunk(b"IHDR", ihdr) + data[33:]
    if data.startswith(b"BM"):
        return data[:18] + struct.pack("<ii", width, height) + data[26:]
    if data.startswith(b"GIF"):
        return data[:6] + struct.pack("<HH", min(width, 65535), min(height, 65535)) + data[10:]
    if data.startswith(b"\xff\xd8"):
        at = data.find(b"\xff\xc0")
        size = struct.pack(">HH", min(height, 65535), min(width, 65535))
        return data[: at + 5] + size + data[at + 9 :] if at > 0 else data
    if data.startswith(b"II*\0"):
        for tag, value in ((256, width), (257, height)):
            entry = struct.pack("<H", tag)
            at = data.find(entry + b"\x04\0\x01\0\0\0"), data.find(entry + b"\x03\0\x01\0\0\0")
            if max(at) > 0:
                change = entry + b"\x04\0\x01\0\0\0" + struct.pack("<I", value)
                data = data[: max(at)] + change + data[max(at) + 12 :]
        return data
    return png_header(width, height)


def _filled(data: bytes, rng: random.Random) -> bytes:
    """A sound PNG of one colour that is far larger than its file."""
    width, height = rng.choice([(60_000, 10), (10, 60_000), (6_000, 5_000), (200_000, 900)])
    return png_header(width, height, bytes((3 * width + 1) * height)) + chunk(b"IEND", b"")


def _long_text(data: bytes, rng: random.Random) -> bytes:
    """A comment of more than Pillow takes, in a PNG; other files get it at their end."""
    length = rng.choice([10, PngImagePlugin.MAX_TEXT_CHUNK + 1])
    text = b"c\0\0" + zlib.compress(b"x" * length)
    at = data.find(b"IDAT") - 4
    at = at if data.startswith(b"\x89PNG") and at > 0 else len(data)
    return data[:at] + chunk(b"zTXt", text) + data[at:]


_DAMAGES = (
    lambda data, rng: data,
    _bit_flips,
    _bit_flips,
    _truncation,
    damage,
    _zeros,
    _foreign_head,
    _two_in_one,
    _huge_size,
    _huge_size,
    _long_text,
    _filled,
)


def _prepare(folder: Path) -> None:
    (folder / _NAME).write_bytes(b"")


def _damage(folder: Path, rng: random.Random) -> Path:
    path = folder / _NAME
    path.write_bytes(make_image(rng))
    return path


def _read(folder: Path) -> None:
    path = folder / _NAME
    try:
        image, _ = load_sample({"file_name": str(path)}, "RGB")
    except CorruptImageError as error:
        if str(path) not in str(error):
            raise Silence(f"the error does not name the file: {error}") from error
        with contextlib.suppress(CorruptImageError):
            read_header(path)
        raise
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise Silence(f"no image: {image.dtype} {image.shape}")
    header = read_header(path)
    if header.shown != image.shape[:2]:
        raise Silence(f"the header says {header.shown}, the image is {image.shape[:2]}")


TARGETS = [Target("images", _prepare, _damage, _read, (CorruptImageError,), 1000)]
