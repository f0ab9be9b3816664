"""The images that a file holds: one, the pages of a TIFF or a PDF, the frames of a video."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .image_io import CorruptImageError, count_pages, read_image

__all__ = ["CAMERA", "VIDEO_SUFFIXES", "Pages", "camera_frames", "open_pages"]

#: Suffixes of videos, which OpenCV reads.
VIDEO_SUFFIXES = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"),
        *(".wmv", ".flv", ".3gp", ".ogv", ".ts", ".mts", ".m2ts"),
    )
)
#: How the name of a camera begins.
CAMERA = "camera:"

# Pixels of a PDF's page to a point, which is 1/72 inch.
_PDF_SCALE = 200 / 72
# Pixels of a page at most, so many as Pillow reads without a warning.
_PDF_PIXELS = 89_478_485


class Pages:
    """The images of an image file; of several those of a TIFF."""

    def __init__(self, path: Path):
        """
        Raises:
            FileNotFoundError, CorruptImageError: see :func:`~.image_io.read_image`.
        """
        self.path = path
        self._count = count_pages(path, str(path))

    def __len__(self) -> int:
        """Number of images."""
        return self._count

    def __getitem__(self, number: int) -> np.ndarray:
        """Return an image, (H, W, 3) uint8, RGB.

        Raises:
            CorruptImageError: it cannot be decoded.
        """
        return read_image(self.path, str(self.path), page=number)


class _PdfPages(Pages):
    def __init__(self, path: Path):
        self.path = path
        try:
            import pypdfium2
        except ImportError as error:
            raise CorruptImageError(
                f"{path}: PDFs need the package pypdfium2: pip install 'vlpt-d2[pdf]'"
            ) from error
        with open(path, "rb"):
            pass  # a missing file is told as such
        try:
            self._file = pypdfium2.PdfDocument(path)
        except pypdfium2.PdfiumError as error:
            raise CorruptImageError(f"{path}: cannot be read as a PDF ({error})") from error

    def __len__(self) -> int:
        return len(self._file)

    def __getitem__(self, number: int) -> np.ndarray:
        try:
            page = self._file[number]
            area = max(1, math.prod(page.get_size()))
            # Drawings of a building have pages that would not fit into the memory.
            scale = min(_PDF_SCALE, math.sqrt(_PDF_PIXELS / area))
            image = page.render(scale=scale, rev_byteorder=True).to_numpy()
        except Exception as error:  # pypdfium2 and numpy raise many kinds
            raise CorruptImageError(
                f"{self.path}: page {number + 1} cannot be drawn ({error})"
            ) from error
        channels = image.shape[2] if image.ndim == 3 else 1
        if channels == 1:
            return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
        return np.ascontiguousarray(image[..., :3])


class _VideoPages(Pages):
    """Frames in their order are read without seeking."""

    def __init__(self, path: Path):
        self.path = path
        with open(path, "rb"):
            pass  # a missing file is told as such
        self._file = _opened(str(path))
        # The number that the file gives may be an estimate.
        self._count = 0
        while self._file.grab():
            self._count += 1
        if not self._count:
            raise CorruptImageError(
                f"{path}: cannot be read as a video: it is damaged, or of a kind that OpenCV lacks"
            )
        self._file = _opened(str(path))
        self._next = 0

    def __getitem__(self, number: int) -> np.ndarray:
        if number < self._next:
            self._file, self._next = _opened(str(self.path)), 0
        while self._next < number and self._file.grab():
            self._next += 1
        found, frame = self._file.read()
        self._next += 1
        if not found:
            raise CorruptImageError(f"{self.path}: frame {number + 1} cannot be decoded")
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def _opened(source: str | int) -> Any:
    """Open a video or camera without the messages of OpenCV and FFmpeg: our errors replace them."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    log = cv2.utils.logging
    level = log.getLogLevel()
    log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(source)
    finally:
        log.setLogLevel(level)


def open_pages(path: Path) -> Pages:
    """Open a file of images.

    Args:
        path: an image, a PDF (by pypdfium2, 200 dots per inch; fewer for huge pages) or a video
            (by OpenCV).

    Raises:
        FileNotFoundError: there is no such file.
        CorruptImageError: it cannot be read, or pypdfium2 is missing.
    """
    suffix = path.suffix.lower()
    if suffix == ".pdf":
        return _PdfPages(path)
    return _VideoPages(path) if suffix in VIDEO_SUFFIXES else Pages(path)


def camera_frames(name: str) -> Iterator[np.ndarray]:
    """Yield the frames of a camera, (H, W, 3) uint8, RGB, until it gives none.

    Args:
        name: such as "camera:0".

    Raises:
        ValueError: it is no number, or there is no such camera.
    """
    number = name.removeprefix(CAMERA)
    if not number.isdigit():
        raise ValueError(f"{name}: a camera has a number; the first is {CAMERA}0")
    capture = _opened(int(number))
    if not capture.isOpened():
        raise ValueError(
            f"{name}: cannot be opened: connect a camera, or close what uses it; the first is "
            f"{CAMERA}0"
        )
    try:
        while True:
            found, frame = capture.read()
            if not found:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()
