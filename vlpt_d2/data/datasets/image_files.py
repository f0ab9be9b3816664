"""Image files of a dataset: finding them, their order, their size and EXIF orientation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...utils.names import natural_key
from .report import ReadReport

__all__ = ["NO_LABELS", "ImageHeader", "list_images", "note_unused_labels", "read_header"]

_UNREADABLE = "images of a kind that cannot be read here: convert them to .png or .jpg"
#: What tools write next to their label files.
NO_LABELS = {"classes.txt", "obj.names", "readme.txt", "README.txt", "notes.json"}
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
    """The content of a file's header.

    Attributes:
        stored: (height, width) of the pixels as they are stored.
        orientation: EXIF orientation, 1 to 8; 1 where nothing is to be turned.
    """

    stored: tuple[int, int]
    orientation: int = 1

    @property
    def shown(self) -> tuple[int, int]:
        """(height, width) of the image as it is read: turned by its EXIF orientation."""
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
    """Read an image's size and orientation; see :func:`~vlpt_d2.data.image_io.stored_size`.

    Raises:
        FileNotFoundError: no such file.
        CorruptImageError: see :func:`~vlpt_d2.data.image_io.read_image`.
    """
    from ..image_io import stored_size

    stored, orientation = stored_size(path, str(path))
    return ImageHeader(stored, orientation)


def list_images(
    folders: Iterable[str | Path], tree: str, report: ReadReport | None = None
) -> list[Path]:
    """Return the images of folders, folder by folder in natural order (img_2 before img_10).

    Args:
        folders: not searched in depth. Hidden files are left out.
        tree: the expected tree, for the message.
        report: where to count images of a kind that cannot be read here, which are left out.

    Raises:
        FileNotFoundError: a folder is missing, or none holds an image that can be read.
    """
    from ..image_io import IMAGE_SUFFIXES, readable_suffixes

    images: list[Path] = []
    unreadable = 0
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder;\n{tree}")
        # A link to nowhere is an image that is missing, so not left out here.
        found = sorted(
            (p for p in folder.iterdir() if not p.name.startswith(".") and not p.is_dir()),
            key=lambda path: (natural_key(path.stem), path.name),
        )
        for path in found:
            if path.suffix.lower() in readable_suffixes():
                images.append(path)
            elif path.suffix.lower() in IMAGE_SUFFIXES:
                unreadable += 1
                if report is not None:
                    report.count(report.dropped, _UNREADABLE, path.name)
    if not images:
        names = ", ".join(map(str, folders))
        left_out = f", and {unreadable} {_UNREADABLE}" if unreadable else ""
        raise FileNotFoundError(f"{names}: holds no .jpg or .png image{left_out};\n{tree}")
    return images


def note_unused_labels(used: Iterable[Path], report: ReadReport) -> None:
    """Count the label files that belong to no image: those next to the ones that do.

    Args:
        used: the label files of the images, whether they exist or not; others in their folders
            with one of their suffixes are counted.
        report: counts are added to what it dropped.
    """
    suffixes: dict[Path, set[str]] = {}
    names = set()
    for path in used:
        suffixes.setdefault(path.parent, set()).add(path.suffix)
        names.add(path)
    for folder, wanted in suffixes.items():
        if not folder.is_dir():
            continue
        found = (p for p in folder.iterdir() if p.suffix in wanted and not p.name.startswith("."))
        unused = (p for p in found if p not in names and p.name not in NO_LABELS)
        for path in sorted(unused, key=lambda path: natural_key(path.name)):
            report.count(report.dropped, "label files without an image", path.name)
