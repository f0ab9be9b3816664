"""Image files of a dataset: finding them, their order, their size and EXIF orientation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..sample import CorruptImageError

__all__ = ["ImageHeader", "list_images", "natural_key", "read_header"]

_EXTENSIONS = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"}
_EXIF_ORIENTATION = 0x0112
# Orientations of the EXIF standard -> whether to swap x and y first, then whether to mirror the
# new x and the new y.
_TURNS = {
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}


@dataclass(frozen=True)
class ImageHeader:
    """What a file's header says.

    Attributes:
        stored: (height, width) of the pixels as they are stored.
        orientation: EXIF orientation, 1 to 8; 1 where nothing is to be turned.
    """

    stored: tuple[int, int]
    orientation: int = 1

    @property
    def shown(self) -> tuple[int, int]:
        """(height, width) of the image as detectron2 reads it: turned as EXIF says."""
        swap = _TURNS.get(self.orientation, (False,))[0]
        return self.stored[::-1] if swap else self.stored

    def turn(self, points: np.ndarray) -> np.ndarray:
        """Move (N, 2) points (x, y) from the stored pixels to those of the image as shown."""
        if self.orientation not in _TURNS:
            return points
        swap, mirror_x, mirror_y = _TURNS[self.orientation]
        height, width = self.shown
        turned = points[:, ::-1].copy() if swap else points.copy()
        if mirror_x:
            turned[:, 0] = width - turned[:, 0]
        if mirror_y:
            turned[:, 1] = height - turned[:, 1]
        return turned


def read_header(path: str | Path) -> ImageHeader:
    """Read an image's size and orientation without decoding it.

    Raises:
        FileNotFoundError: no such file.
        CorruptImageError: the header cannot be read.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except FileNotFoundError:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        raise CorruptImageError(
            f"{path}: is no readable image ({error}). Replace the file, or remove it together "
            "with its ground truth."
        ) from error
    return ImageHeader((height, width), orientation if orientation in _TURNS else 1)


def list_images(folders: Iterable[str | Path], tree: str) -> list[Path]:
    """Return the images of folders, folder by folder in natural order (img_2 before img_10).

    Args:
        folders: not searched in depth. Hidden files are left out.
        tree: the expected tree, for the message.

    Raises:
        FileNotFoundError: a folder is missing, or none holds an image.
    """
    images: list[Path] = []
    folders = [Path(folder) for folder in folders]
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder;\n{tree}")
        found = (p for p in folder.iterdir() if p.suffix.lower() in _EXTENSIONS)
        images += sorted((p for p in found if not p.name.startswith(".")), key=natural_key)
    if not images:
        names = ", ".join(map(str, folders))
        raise FileNotFoundError(f"{names}: holds no .jpg or .png image;\n{tree}")
    return images


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Sort img_2 before img_10."""
    return [(int(s), "") if s.isdigit() else (-1, s) for s in re.split(r"([0-9]+)", path.stem)]
