"""The one way image files are read: their formats, turn, transparency, depth, and what is broken.

Every part that looks into an image file does it here, so all agree on which files are images, how
they are turned, and which are refused.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError, features

__all__ = [
    "IMAGE_SUFFIXES",
    "CorruptImageError",
    "Source",
    "count_pages",
    "image_source",
    "open_source",
    "pixels_of",
    "read_image",
    "readable_suffixes",
    "stored_size",
]

#: A file's name (any that detectron2's PathManager opens), or its content.
Source = str | Path | bytes

# Pillow's name of a format -> its suffixes, and the feature of Pillow that it needs. Of Pillow's
# other formats none holds photographs, and some start programs (EPS) or are no images (PDF).
_FORMATS: dict[str, tuple[tuple[str, ...], str | None]] = {
    "JPEG": ((".jpg", ".jpeg", ".jpe", ".jfif"), "jpg"),
    "PNG": ((".png", ".apng"), "zlib"),
    "GIF": ((".gif",), None),
    "BMP": ((".bmp", ".dib"), None),
    "WEBP": ((".webp",), "webp"),
    "TIFF": ((".tif", ".tiff"), None),
    "PPM": ((".ppm", ".pgm", ".pbm", ".pnm"), None),
    "JPEG2000": ((".jp2", ".j2k", ".jpx", ".jpf"), "jpg_2000"),
    "AVIF": ((".avif",), "avif"),
    # Read where the package pillow-heif is installed.
    "HEIF": ((".heic", ".heif", ".hif"), None),
}
#: Suffixes of image files, whether they can be read here or not.
IMAGE_SUFFIXES = frozenset(
    [suffix for suffixes, _ in _FORMATS.values() for suffix in suffixes]
    + [".jxl", ".tga", ".psd", ".svg", ".ico", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf"]
)
_EXIF_ORIENTATION, _TIFF_WIDTH, _TIFF_HEIGHT = 0x0112, 256, 257
# The turn that shows an image as each orientation of the EXIF standard asks.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PNG, _PNG_TEXTS = b"\x89PNG\r\n\x1a\n", (b"tEXt", b"zTXt", b"iTXt")
# Grey levels that transparent images may be laid on, and the share of the visible pixels from
# which on a level has to differ from it.
_BACKGROUNDS, _VISIBLE_SHARE = (255, 0, 128), 0.02
_Result = TypeVar("_Result")


class CorruptImageError(RuntimeError):
    """An image file exists but cannot be decoded; the message names it."""


@functools.cache
def readable_suffixes() -> frozenset[str]:
    """Suffixes, in lower case and with their dot, of the image files that can be read here."""
    return frozenset(suffix for name in _decoders() for suffix in _FORMATS[name][0])


def open_source(source: Source) -> BinaryIO:
    """Open an image's file for reading, be it on a disk or in memory.

    Raises:
        OSError: the file is missing or cannot be opened.
    """
    if isinstance(source, bytes):
        return io.BytesIO(source)
    name = os.fspath(source)
    if "://" not in name:
        return open(name, "rb")
    # Of the many who read files of this disk none needs detectron2, which loads torch.
    from detectron2.utils.file_io import PathManager

    return PathManager.open(name, "rb")


def image_source(dataset_dict: dict[str, Any]) -> Source:
    """The image's file: its content where that is in memory, else its name."""
    return dataset_dict["image_bytes" if "image_bytes" in dataset_dict else "file_name"]


def read_image(source: Source, name: str, image_format: str = "RGB", page: int = 0) -> np.ndarray:
    """Decode an image as viewers show it.

    It is turned by its EXIF orientation. Grey levels of more than 8 bits are scaled: 16 bits by
    their range, floats from [0, 1] where they fit, other numbers from their own. Transparent pixels
    are laid on white, black or grey, on whichever the visible ones differ from most: the text may
    be in nothing but the alpha channel. Of an animation the first picture is taken.

    Args:
        source: the file.
        name: what to call it in messages.
        image_format: channel order of the result, "RGB" or "BGR".
        page: of a file with several, from 0; see :func:`count_pages`.

    Returns:
        (H, W, 3) uint8.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptImageError: it is not an image, a damaged one, or has more pixels than twice
            ``PIL.Image.MAX_IMAGE_PIXELS``.
    """

    def decode(image: Image.Image) -> np.ndarray:
        # First of all: Pillow turns TIFFs itself as it loads them, and then forgets their turn.
        if page:
            image.seek(page)
        image.load()
        turn = _TURNS.get(_orientation(image))
        return pixels_of(image if turn is None else image.transpose(turn), image_format)

    return _with_image(source, name, decode)


def pixels_of(image: Image.Image, image_format: str = "RGB") -> np.ndarray:
    """Return an image's pixels, with depth and transparency as :func:`read_image` has them.

    Args:
        image: is not turned, whatever its EXIF data say.
        image_format: channel order of the result, "RGB" or "BGR".

    Returns:
        (H, W, 3) uint8.
    """
    if image.mode != "RGB" or "transparency" in image.info:
        image = _opaque(_eight_bits(image)).convert("RGB")
    pixels = np.asarray(image)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if image_format == "BGR" else pixels.copy()


def count_pages(source: Source, name: str) -> int:
    """Count the pages of a TIFF; other files have one.

    Args:
        source: the file.
        name: what to call it in messages.

    Raises:
        FileNotFoundError, CorruptImageError: see :func:`read_image`.
    """

    def pages(image: Image.Image) -> int:
        return cast(Any, image).n_frames if image.format == "TIFF" else 1

    return _with_image(source, name, pages)


def stored_size(source: Source, name: str) -> tuple[tuple[int, int], int]:
    """Read size and orientation of an image, without decoding it where the format allows that.

    Args:
        source: the file.
        name: what to call it in messages.

    Returns:
        (height, width) of the pixels as they are stored; and the EXIF orientation, 1 to 8, by
        which :func:`read_image` turns them.

    Raises:
        FileNotFoundError, CorruptImageError: see :func:`read_image`.
    """

    def look(image: Image.Image) -> tuple[tuple[int, int], int]:
        width, height = image.size
        if image.format == "PNG":
            image.load()  # its EXIF may come after the pixels
        orientation = _orientation(image)
        if image.format == "TIFF":
            # Newer versions of Pillow have turned the size already.
            tags = cast(Any, image).tag_v2
            width, height = tags[_TIFF_WIDTH], tags[_TIFF_HEIGHT]
        return (int(height), int(width)), orientation

    return _with_image(source, name, look)


@functools.cache
def _decoders() -> tuple[str, ...]:
    """Pillow's names of the formats that can be read here."""
    Image.init()
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        pass
    else:
        register_heif_opener()
    return tuple(
        name
        for name, (_, feature) in _FORMATS.items()
        if name in Image.OPEN and (feature is None or features.check(feature))
    )


def _with_image(source: Source, name: str, use: Callable[[Image.Image], _Result]) -> _Result:
    """Open an image and return what ``use`` makes of it; every failure names the file."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_source(source))
            try:
                return use(stack.enter_context(Image.open(file, formats=_decoders())))
            except ValueError:
                # Pillow refuses a PNG with long texts (comments, workflows, previews).
                bare = _png_without_texts(file)
                if bare is None:
                    raise
                return use(stack.enter_context(Image.open(bare, formats=["PNG"])))
        except FileNotFoundError:
            raise
        except IsADirectoryError as error:
            raise CorruptImageError(f"{name}: is a folder; name a file") from error
        except UnidentifiedImageError as error:
            reason = f"it is not an image in a supported format: {', '.join(_decoders())}"
            raise _corrupt(name, reason) from error
        except Image.DecompressionBombError as error:
            limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
            raise _corrupt(
                name, f"it has more than {limit} pixels; PIL.Image.MAX_IMAGE_PIXELS sets the limit"
            ) from error
        # A broken file can fail in any way in Pillow's decoders.
        except Exception as error:
            raise _corrupt(name, str(error) or type(error).__name__) from error


def _corrupt(name: str, reason: str) -> CorruptImageError:
    return CorruptImageError(
        f"{name}: cannot be decoded ({reason}). Replace the file, or remove it and, if it has one, "
        "its ground truth."
    )


def _png_without_texts(file: BinaryIO) -> BinaryIO | None:
    """A copy of a PNG without its texts; None of any other file."""
    file.seek(0)
    data = file.read()
    if not data.startswith(_PNG):
        return None
    kept, at = [_PNG], len(_PNG)
    while at < len(data):
        # A chunk: length, kind, content and checksum.
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] not in _PNG_TEXTS:
            kept.append(data[at:end])
        at = end
    return io.BytesIO(b"".join(kept))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none, or none that can be read."""
    try:
        value = image.getexif().get(_EXIF_ORIENTATION, 1)
    # Odd metadata, which fails in many ways, is not a reason to refuse sound pixels.
    except Exception:
        return 1
    return int(value) if value in _TURNS else 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey images of integers and floats as ones of 8 bits; Pillow would cut them off at 255."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return image
    values: Any = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((values >> 8).astype(np.uint8))
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0, 0)
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0, 1
    elif low >= 0 and high <= 255:
        low, high = 0, 255
    elif image.mode == "I" and low >= 0 and high < 2**16:
        # 32 bits wide, but older versions of Pillow read PNGs of 16 bits so.
        return Image.fromarray((values >> 8).astype(np.uint8))
    values = np.nan_to_num(values.astype(np.float32), nan=low, posinf=high, neginf=low)
    # Divided first: the range of floats may exceed the largest float.
    values = values / 2 - low / 2
    values *= 255 / max(high / 2 - low / 2, np.finfo(np.float32).tiny)
    return Image.fromarray(np.rint(values).clip(0, 255).astype(np.uint8))


def _opaque(image: Image.Image) -> Image.Image:
    """Lay transparent pixels on the grey level that the visible ones differ from most."""
    if image.mode not in ("LA", "PA", "RGBA", "RGBa") and "transparency" not in image.info:
        return image
    image = image.convert("RGBA")
    alpha, colours = image.getchannel("A"), image.convert("RGB")
    least, most = cast(tuple[int, int], alpha.getextrema())
    # Nothing is transparent; or nothing would be seen, so the alpha channel is not transparency.
    if least == 255 or most == 0:
        return colours
    mask = alpha.point([255 * (value >= most / 2) for value in range(256)])
    counts = np.array(colours.convert("L").histogram(mask))
    levels = np.flatnonzero(counts >= _VISIBLE_SHARE * counts.sum())
    background = max(_BACKGROUNDS, key=lambda level: int(np.abs(levels - level).min(initial=255)))
    canvas = Image.new("RGB", image.size, (background,) * 3)
    canvas.paste(colours, mask=alpha)
    return canvas
