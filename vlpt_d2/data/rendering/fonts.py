"""Fonts: where they are found, and words drawn with them as coverage masks."""

import importlib.metadata
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFont

__all__ = ["Font", "draw_word", "find_fonts"]

_SUFFIXES = (".ttf", ".otf")
# What a font must be able to draw to be used.
_NEEDED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'()+,-./:;=?@"
# Matplotlib's fonts for mathematics, some with other signs in the letters' places, and the last
# resort, which draws a box for everything.
_MATPLOTLIB_UNUSABLE = (
    *("LastResort", "STIXNonUni", "STIXSiz", "cm"),
    *("DejaVuSansDisplay", "DejaVuSerifDisplay"),
)
# Font sizes are rounded to steps of this ratio, so that open faces can be kept; the warp that
# follows makes up for the difference.
_SIZE_STEP = 1.12
_REFERENCE_SIZE = 100


class Font:
    """One font file, with its faces cached by size."""

    def __init__(self, path: str):
        self.path = path
        self.name = Path(path).stem
        self._cap_ratio: float | None = None

    @property
    def cap_ratio(self) -> float:
        """Height of a capital as a fraction of the font size."""
        if self._cap_ratio is None:
            box = _open_face(self.path, _REFERENCE_SIZE).getbbox("H", anchor="ls")
            self._cap_ratio = max(box[3] - box[1], 1) / _REFERENCE_SIZE
        return self._cap_ratio

    def face(self, cap_height: float) -> ImageFont.FreeTypeFont:
        """Return the face whose capitals are close to (at most 6 % off) a height in pixels."""
        size = max(cap_height / self.cap_ratio, 6.0)
        step = round(np.log(size) / np.log(_SIZE_STEP))
        return _open_face(self.path, round(_SIZE_STEP**step))


@lru_cache(maxsize=512)
def _open_face(path: str, size: int) -> ImageFont.FreeTypeFont:
    # The basic layout: the same everywhere, whether or not Pillow was built with raqm.
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def draw_word(face: ImageFont.FreeTypeFont, word: str) -> tuple[np.ndarray, int, int]:
    """Draw a word.

    Returns:
        mask: (h, w) uint8 coverage, cropped to the pixels that are not 0.
        left: x of the mask's first column, relative to the pen's start.
        top: y of its first row, relative to the baseline (negative: above).

    Raises:
        ValueError: where nothing of the word is visible.
    """
    core, (left, top) = face.getmask2(word, mode="L", anchor="ls")
    width, height = core.size
    mask = np.asarray(Image.Image()._new(core), np.uint8) if width and height else None
    if mask is None or not mask.any():
        raise ValueError(f"the font {face.path!s} draws nothing for {word!r}")
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return mask, int(left + columns[0]), int(top + rows[0])


@lru_cache(maxsize=8)
def find_fonts(sources: tuple[str, ...], names: tuple[str, ...] = ()) -> tuple[Font, ...]:
    """Return the usable fonts of some sources, in an order that depends on their names alone.

    Args:
        sources: "matplotlib", "packages" (entry points ``fonts_ttf``) or folders.
        names: file names without suffix to keep; empty keeps all.

    Raises:
        FileNotFoundError: for a source without fonts, with how to fix it.
    """
    paths: dict[str, str] = {}
    for source in sources:
        found = _files_of(source)
        if not found:
            raise FileNotFoundError(_remedy(source))
        for path in found:
            paths.setdefault(Path(path).name, path)
    kept = [paths[name] for name in sorted(paths) if not names or Path(name).stem in names]
    fonts = tuple(Font(path) for path in kept if _usable(path))
    if not fonts:
        raise FileNotFoundError(
            f"no usable font (ASCII letters, digits, punctuation) among {', '.join(sources)}"
            + (f" with a name among {', '.join(names)}" if names else "")
        )
    return fonts


def _files_of(source: str) -> list[str]:
    if source == "matplotlib":
        import matplotlib

        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        return [
            str(path)
            for path in sorted(folder.glob("*.ttf"))
            if not path.name.startswith(_MATPLOTLIB_UNUSABLE)
        ]
    if source == "packages":
        files = []
        for entry in importlib.metadata.entry_points(group="fonts_ttf"):
            files += [str(path) for path in dict(entry.load()).values()]
        # Variable fonts open at their default weight, which the static files already have.
        return sorted(path for path in files if "VariableFont" not in path)
    return [
        os.path.join(folder, name)
        for folder, _, names in sorted(os.walk(source))
        for name in sorted(names)
        if name.lower().endswith(_SUFFIXES)
    ]


def _remedy(source: str) -> str:
    if source == "packages":
        return (
            "no pip package with fonts is installed: pip install font-roboto font-lato "
            "font-source-sans-pro font-source-serif-pro (or vlpt_d2[render]), or set the render "
            'setting fonts to ("matplotlib",)'
        )
    return f"no .ttf or .otf file in the font folder {source!r}: check the render setting fonts"


def _usable(path: str) -> bool:
    from matplotlib.ft2font import FT2Font

    try:
        covered = FT2Font(path).get_charmap()
    except (RuntimeError, OSError):
        return False
    return all(ord(character) in covered for character in _NEEDED)
