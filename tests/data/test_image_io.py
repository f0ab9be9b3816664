"""Image files of every kind as viewers show them; broken ones refused with their name."""

import io
import struct
import sys
import types
import zlib

import numpy as np
import pytest
from helpers.fuzz_images import chunk, png_header
from PIL import Image, PngImagePlugin

from vlpt_d2.data import image_io
from vlpt_d2.data.image_io import CorruptImageError, read_image, stored_size

# What viewers show: a black word on white, nearer to the top left than to any other corner.
SHOWN = np.full((60, 120), 255, np.uint8)
SHOWN[10:20, 20:60] = 0
# Orientation -> the pixels that are stored for it (EXIF 2.3: which sides row 0 and column 0 are).
STORED = {
    1: SHOWN,
    2: SHOWN[:, ::-1],
    3: SHOWN[::-1, ::-1],
    4: SHOWN[::-1],
    5: SHOWN.T,
    6: SHOWN.T[::-1],
    7: SHOWN.T[::-1, ::-1],
    8: SHOWN.T[:, ::-1],
}


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def tiff(pixels, orientation):
    """A grey TIFF written by hand, as Pillow's writer has an opinion on its tags."""
    height, width = pixels.shape
    entries = [
        (256, 3, width), (257, 3, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8),
        (274, 3, orientation), (277, 3, 1), (278, 3, height), (279, 4, width * height),
    ]  # fmt: skip
    data = np.ascontiguousarray(pixels).tobytes()
    directory = struct.pack("<H", len(entries))
    for tag, kind, value in entries:
        directory += struct.pack("<HHI", tag, kind, 1) + struct.pack("<I", value)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + b"\0\0\0\0"


@pytest.mark.parametrize("kind", ["TIFF", "JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_images_are_turned_once(kind, orientation):
    stored = STORED[orientation]
    if kind == "TIFF":
        data = tiff(stored, orientation)
    else:
        data = encoded(Image.fromarray(stored).convert("RGB"), kind, exif=exif(orientation))
    image = read_image(data, "x")
    assert image.shape == (60, 120, 3)
    assert image[11:19, 21:59].max() < 60  # JPEG and WebP blur the edges
    assert image[24:].min() > 190
    assert stored_size(data, "x") == (stored.shape, orientation)


def alpha_image(colour, mode="RGBA"):
    """A word that is nothing but the opaque part of an image of one colour."""
    image = Image.new("RGBA", (120, 60), (*colour, 0))
    image.paste((*colour, 255), (20, 10, 60, 20))
    return image.convert(mode)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (200, 0, 0)])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_text_in_the_alpha_channel(colour, kind):
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    image = read_image(encoded(alpha_image(colour), kind, **options), "x").astype(int)
    assert image[15, 40].tolist() == list(colour)
    assert np.abs(image[40, 100] - image[15, 40]).max() >= 100


def test_text_in_other_kinds_of_transparency():
    grey = encoded(alpha_image((0, 0, 0), "LA"), "PNG")
    palette = Image.new("P", (120, 60), 0)
    palette.putpalette([0, 0, 0, 0, 0, 0])
    palette.paste(1, (20, 10, 60, 20))
    indexed = encoded(palette, "PNG", transparency=0)
    gif = encoded(palette, "GIF", transparency=0)
    # A colour that counts as transparent, without an alpha channel.
    rgb = Image.new("RGB", (120, 60), (1, 0, 0))
    rgb.paste((0, 0, 0), (20, 10, 60, 20))
    keyed = encoded(rgb, "PNG", transparency=(1, 0, 0))
    for data in (grey, indexed, gif, keyed):
        image = read_image(data, "x")
        assert image[15, 40].tolist() == [0, 0, 0]
        assert image[40, 100].tolist() == [255, 255, 255]


def test_black_and_white_text_on_clear():
    image = alpha_image((0, 0, 0))
    image.paste((255, 255, 255, 255), (20, 30, 60, 40))
    image = read_image(encoded(image, "PNG"), "x").astype(int)
    assert (image[15, 40, 0], image[35, 40, 0], image[50, 100, 0]) == (0, 255, 128)


def test_an_alpha_channel_that_hides_nothing_or_everything_changes_no_colour():
    colours = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    for alpha in (255, 0):
        pixels = np.dstack([colours, np.full((8, 9), alpha, np.uint8)])
        image = read_image(encoded(Image.fromarray(pixels), "PNG"), "x")
        np.testing.assert_array_equal(image, colours)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([0.0, 32768.0, 65535.0], [0, 128, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([-3e38, 0.0, 3e38], [0, 128, 255]),
        ([0.0, np.nan, 1.0], [0, 0, 255]),
        ([0.0, np.inf, 1.0], [0, 255, 255]),
        ([np.nan] * 3, [0, 0, 0]),
        ([7.0] * 3, [7, 7, 7]),
    ],
)
def test_floats(values, expected):
    pixels = np.tile(np.array(values, np.float32), (4, 1))
    image = read_image(encoded(Image.fromarray(pixels), "TIFF"), "x")
    assert np.abs(image[0, :, 0].astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0, 200, 255], np.int32, [0, 200, 255]),
        ([0, 256, 65535], np.int32, [0, 1, 255]),
        ([0, 2**30, 2**31 - 1], np.int32, [0, 128, 255]),
        ([-100, 0, 100], np.int32, [0, 128, 255]),
        ([0, 256, 65535], np.uint16, [0, 1, 255]),
    ],
)
def test_wide_integers(values, dtype, expected):
    image = Image.fromarray(np.tile(np.array(values, dtype), (4, 1)))
    pixels = read_image(encoded(image, "TIFF"), "x")
    assert np.abs(pixels[0, :, 0].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_other_modes(mode):
    kind = {"CMYK": "JPEG", "YCbCr": "JPEG"}.get(mode, "PNG")
    image = read_image(encoded(Image.fromarray(SHOWN).convert("RGB").convert(mode), kind), "x")
    assert image[15, 40].max() < 40
    assert image[40, 100].min() > 215


def test_channel_order():
    data = encoded(Image.new("RGB", (3, 2), (250, 10, 20)), "PNG")
    assert read_image(data, "x")[0, 0].tolist() == [250, 10, 20]
    assert read_image(data, "x", "BGR")[0, 0].tolist() == [20, 10, 250]


ODD_EXIF = [
    b"junk",
    b"Exif\0\0",
    b"Exif\0\0MM\0*\xff\xff\xff\xff",
    # One entry, the orientation, as text, as a rational of 0/0, and with three values.
    b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0abc\0\0\0\0\0",
    b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x05\0\x01\0\0\0\x00\0\0\0\0\0\0\0",
    b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x03\0\0\0\x1a\0\0\0\0\0\0\0\x06\0\x06\0\x06\0",
    b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",
]


@pytest.mark.filterwarnings("ignore")  # Pillow's, about the EXIF
@pytest.mark.parametrize("tags", ODD_EXIF)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_odd_exif_is_no_reason_to_refuse(tags, kind):
    data = encoded(Image.fromarray(SHOWN).convert("RGB"), kind, exif=tags)
    size, orientation = stored_size(data, "x")
    assert size == (60, 120)
    # Only the three values can be taken for one.
    assert orientation == (6 if tags.count(b"\x06") == 3 else 1)
    assert read_image(data, "x").shape == ((60, 120, 3) if orientation == 1 else (120, 60, 3))


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_long_texts_in_a_png(kind, behind):
    """More than Pillow takes, before or behind the pixels; the turn in EXIF still counts."""
    long = zlib.compress(b"x" * (PngImagePlugin.MAX_TEXT_CHUNK + 1))
    content = b"workflow\0" + (b"\0" if kind == b"zTXt" else b"\1\0\0\0") + long
    data = encoded(Image.fromarray(STORED[6]), "PNG", exif=exif(6))
    at = len(data) - 12 if behind else data.index(b"IDAT") - 4
    data = data[:at] + chunk(kind, content) + data[at:]
    np.testing.assert_array_equal(read_image(data, "x")[..., 0], SHOWN)
    assert stored_size(data, "x") == ((120, 60), 6)


JPEG = encoded(
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)), "JPEG"
)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an image in a supported format: JPEG, PNG"),
        (b"hello", "not an image in a supported format"),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
            "not an image in a supported format",
        ),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (png_header(100_000, 100_000), "more than 178956970 pixels.*MAX_IMAGE_PIXELS"),
        (png_header(2**31 - 1, 2**31 - 1), "more than 178956970 pixels"),
        (png_header(20, 20), r"."),
        (encoded(Image.fromarray(SHOWN), "BMP")[:60], r"."),
        (tiff(SHOWN, 1)[:5000], r"."),
    ],
)
@pytest.mark.parametrize("in_memory", [False, True])
def test_what_is_no_sound_image_is_named(tmp_path, data, reason, in_memory):
    path = tmp_path / "odd.png"
    path.write_bytes(data)
    with pytest.raises(CorruptImageError, match=rf"(?s)odd\.png: cannot be decoded \(.*{reason}"):
        read_image(data if in_memory else path, str(path))


def test_bombs_are_named_before_they_are_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(100_000, 100_000))
    with pytest.raises(CorruptImageError, match=r"bomb\.png"):
        stored_size(path, str(path))


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "no.png", "no.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(CorruptImageError, match=r"folder\.png"):
        read_image(tmp_path / "folder.png", "folder.png")


def test_heic_is_read_where_its_decoder_is_installed(monkeypatch):
    """A stand-in for pillow-heif, which registers a decoder for the suffix."""
    called = []
    fake = types.ModuleType("pillow_heif")

    def register():
        called.append(True)
        monkeypatch.setitem(Image.OPEN, "HEIF", Image.OPEN["PNG"])

    fake.register_heif_opener = register
    for installed in (False, True):
        monkeypatch.setitem(sys.modules, "pillow_heif", fake if installed else None)
        image_io._decoders.cache_clear()
        image_io.readable_suffixes.cache_clear()
        assert (".heic" in image_io.readable_suffixes()) == installed
    assert called
    monkeypatch.undo()
    image_io._decoders.cache_clear()
    image_io.readable_suffixes.cache_clear()
