"""Draw polygons with scores or words on images, and lay images out on one sheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

__all__ = ["check_picture", "contact_sheet", "draw_polygons", "scaled", "write_picture"]

# Bits of sub-pixel precision in OpenCV's drawing functions.
_SHIFT = 4
# Pixels around each cell of a sheet.
_MARGIN = 4


def draw_polygons(
    image: np.ndarray,
    polygons: Iterable[np.ndarray],
    colour: tuple[int, int, int] = (0, 220, 60),
    texts: Sequence[str] | None = None,
    scores: Sequence[float] | None = None,
    thickness: int | None = None,
) -> np.ndarray:
    """Draw anti-aliased outlines, and a small label at the first corner of each.

    Args:
        image: (H, W, 3) uint8, RGB; left as it is.
        polygons: (N_i, 2) points (x, y) in pixels; they may reach outside the image.
        colour: RGB, 0 to 255.
        texts: a label per polygon, any script that DejaVu Sans has.
        scores: a score per polygon, shown with two decimals (after the text, if both are given).
        thickness: of the outlines in pixels; chosen by the image's size if not given.

    Returns:
        A new (H, W, 3) uint8 image, RGB.

    Raises:
        ValueError: the image is not (H, W, 3) uint8, or labels and polygons differ in number.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected an (H, W, 3) uint8 image, got {image.shape} {image.dtype}")
    rings = [np.asarray(p, dtype=np.float64).reshape(-1, 2) for p in polygons]
    labels = _labels(len(rings), texts, scores)
    canvas = np.ascontiguousarray(image).copy()
    if not rings:
        return canvas
    if thickness is None:
        thickness = max(1, round(max(image.shape[:2]) / 600))
    # Far points would overflow OpenCV's 32-bit fixed-point numbers.
    reach = 4 * max(image.shape[:2])
    fixed = [np.rint(np.clip(r, -reach, reach) * 2**_SHIFT).astype(np.int32) for r in rings]
    cv2.polylines(canvas, fixed, True, colour, thickness, cv2.LINE_AA, _SHIFT)
    if any(labels):
        canvas = _draw_labels(canvas, rings, labels, colour)
    return canvas


def contact_sheet(
    images: Sequence[np.ndarray],
    columns: int,
    titles: Sequence[str] | None = None,
    cell: tuple[int, int] | None = None,
) -> np.ndarray:
    """Lay images out in rows, each scaled to fit its cell and centred on white.

    Args:
        images: (H_i, W_i, 3) uint8, RGB.
        columns: images in one row; the last row may be shorter.
        titles: a line above each image.
        cell: (height, width) of a cell; the largest height and width of the images if not given.

    Returns:
        One (H, W, 3) uint8 image, RGB.

    Raises:
        ValueError: there is no image, or ``columns`` is not positive.
    """
    if not len(images) or columns < 1:
        raise ValueError(f"cannot lay out {len(images)} images in {columns} columns")
    height, width = cell or (max(i.shape[0] for i in images), max(i.shape[1] for i in images))
    head = 18 if titles is not None else 0
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    step_y, step_x = height + head + 2 * _MARGIN, width + 2 * _MARGIN
    sheet = np.full((rows * step_y, columns * step_x, 3), 255, np.uint8)
    for number, image in enumerate(images):
        small = scaled(image, min(height / image.shape[0], width / image.shape[1]))
        top = (number // columns) * step_y + _MARGIN + head + (height - small.shape[0]) // 2
        left = (number % columns) * step_x + _MARGIN + (width - small.shape[1]) // 2
        sheet[top : top + small.shape[0], left : left + small.shape[1]] = small
    if titles is not None:
        picture = Image.fromarray(sheet)
        pen = ImageDraw.Draw(picture)
        for number, title in enumerate(titles):
            corner = (number % columns * step_x + _MARGIN, number // columns * step_y + _MARGIN)
            pen.text(corner, title, fill=(0, 0, 0), font=_font(13))
        sheet = np.array(picture)
    return sheet


def check_picture(path: Path) -> None:
    """Check that :func:`write_picture` knows the format of a path's suffix.

    Raises:
        OSError: there is no such format.
    """
    if not cv2.haveImageWriter(path.suffix):
        raise OSError(f"{path}: an image cannot be written as {path.suffix!r}; use .png or .jpg")


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 image, RGB, in the format of the path's suffix.

    Raises:
        OSError: the file cannot be written, or there is no such format.
    """
    check_picture(path)
    encoded, data = False, np.zeros(0, np.uint8)
    with suppress(cv2.error):
        encoded, data = cv2.imencode(path.suffix, image[:, :, ::-1])
    if not encoded:
        height, width = image.shape[:2]
        raise OSError(f"{path}: the format cannot hold an image of {width} x {height}; use .png")
    path.write_bytes(data.tobytes())


def _labels(number: int, texts: Sequence[str] | None, scores: Sequence[float] | None) -> list[str]:
    for name, values in (("texts", texts), ("scores", scores)):
        if values is not None and len(values) != number:
            raise ValueError(f"{len(values)} {name} for {number} polygons")
    labels = [""] * number if texts is None else [str(text) for text in texts]
    if scores is not None:
        labels = [f"{label} {float(score):.2f}".strip() for label, score in zip(labels, scores)]
    return labels


def _draw_labels(
    image: np.ndarray,
    rings: list[np.ndarray],
    labels: list[str],
    colour: tuple[int, int, int],
) -> np.ndarray:
    """Pillow, as OpenCV's own fonts have ASCII alone."""
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    # Of long strips the short side counts.
    font = _font(max(10, round(min(max(image.shape[:2]) / 80, min(image.shape[:2]) / 2))))
    dark = sum(c * w for c, w in zip(colour, (0.299, 0.587, 0.114))) < 128
    for ring, label in zip(rings, labels):
        if not label:
            continue
        left, top, right, bottom = pen.textbbox((0, 0), label, font=font)
        width, height = right - left + 2, bottom - top + 2
        # Above the first corner, but inside the image.
        x = min(max(ring[0, 0], 0), max(image.shape[1] - width, 0))
        y = min(max(ring[0, 1] - height - 1, 0), max(image.shape[0] - height, 0))
        pen.rectangle((x, y, x + width, y + height), fill=colour)
        pen.text(
            (x + 1 - left, y + 1 - top), label, fill=(255,) * 3 if dark else (0,) * 3, font=font
        )
    return np.array(picture)


def scaled(image: np.ndarray, scale: float) -> np.ndarray:
    """Resize an (H, W, 3) uint8 image by a factor, to one pixel at least."""
    if scale == 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=interpolation)


def _font(size: int) -> ImageFont.FreeTypeFont:
    # detectron2 needs matplotlib, and matplotlib brings this font.
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)
