"""One rendered image with its words, from a seed and an index."""

import logging
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from ...structures import TextInstances
from .backgrounds import make_background
from .blocks import TextBlock, set_block
from .effects import apply_effects
from .fonts import Font, find_fonts
from .geometry import Warp, draw_warp
from .layout import Layout
from .painting import paint_panel, paint_text
from .settings import RenderSettings, resolve_settings
from .words import WordSource, build_word_source

__all__ = ["Rendering", "TextRenderer", "render_sample", "renderer_of_spec"]

logger = logging.getLogger(__name__)

# Blocks tried for each word wanted, before an image stays with fewer words.
_TRIES_PER_WORD = 3
# Space kept around a block, and range of the width of a panel's rim, as shares of the cap height.
_CLEARANCE = 0.2
_PANEL_RIM = (0.3, 0.9)
# Room for shadow and outline around the glyphs, as a share of the cap height.
_EFFECT_ROOM = 0.5
# Share of blocks whose lines differ in size, and range of the smaller lines' size.
_MIXED_SIZES = 0.35
_SMALLER_LINES = (0.45, 0.85)


@dataclass
class Rendering:
    """An image and its words, in the order of the caption."""

    # (H, W, 3) uint8 RGB.
    image: np.ndarray
    words: list[str] = field(default_factory=list)
    # (N_i, 2) float64 polygons, clockwise from each text's top left.
    polygons: list[np.ndarray] = field(default_factory=list)
    # (C_i, 4, 2) float64 quadrilaterals of each word's characters, clockwise from the top left.
    characters: list[np.ndarray] = field(default_factory=list)
    # (H, W) uint8 coverage of each word's glyphs, where layers were asked for.
    layers: list[np.ndarray] = field(default_factory=list)


class TextRenderer:
    """Renders images of given settings; the same seed and index give the same image."""

    def __init__(self, settings: RenderSettings):
        """Find the fonts and read the words that the settings name.

        Raises:
            FileNotFoundError, ValueError, ImportError: where they are missing or unusable.
        """
        self.settings = settings
        self.words: WordSource = build_word_source(settings)
        self.fonts: tuple[Font, ...] = find_fonts(settings.fonts, settings.font_names)
        logger.info(
            "rendering with %d words and %d fonts, fingerprint %s",
            len(self.words.words),
            len(self.fonts),
            self.fingerprint,
        )

    @property
    def fingerprint(self) -> str:
        """Eight hex digits of the words and the names of the fonts.

        Renderers of equal settings and different fingerprints (other font packages, other word
        lists) make different images of the same seed and index.
        """
        names = "\n".join([*self.words.words, "", *(font.name for font in self.fonts)])
        return f"{zlib.crc32(names.encode()):08x}"

    def render(self, seed: int, index: int, keep_layers: bool = False) -> Rendering:
        """Render image number ``index`` of the corpus that ``seed`` names.

        Args:
            seed: 0 or larger.
            index: 0 or larger.
            keep_layers: also return every word's coverage (for tests and for looking).
        """
        settings = self.settings
        rng = np.random.default_rng([seed, index])
        result = Rendering(np.ascontiguousarray(make_background(rng, settings)))
        wanted = 0
        if rng.random() >= settings.empty_images:
            wanted = int(rng.integers(settings.words_per_image[0], settings.words_per_image[1] + 1))
        layout = Layout(result.image)
        tops: list[float] = []
        for _ in range(_TRIES_PER_WORD * wanted):
            missing = wanted - len(result.words)
            if missing == 0:
                break
            self._add_block(result, tops, layout, missing, rng, keep_layers)
        if settings.order == "reading":
            # Stable: the words of a block stay in their order.
            order = sorted(range(len(tops)), key=tops.__getitem__)
            result.words = [result.words[i] for i in order]
            result.polygons = [result.polygons[i] for i in order]
            result.characters = [result.characters[i] for i in order]
            if keep_layers:
                result.layers = [result.layers[i] for i in order]
        result.image = apply_effects(result.image, rng, settings)
        return result

    def _add_block(
        self,
        result: Rendering,
        tops: list[float],
        layout: Layout,
        missing: int,
        rng: np.random.Generator,
        keep_layers: bool,
    ) -> None:
        """Set a block of at most ``missing`` words, find room for it and paint it."""
        settings = self.settings
        lines = self._draw_lines(missing, rng)
        font = self.fonts[rng.integers(len(self.fonts))]
        with_panel = rng.random() < settings.panel
        rim = rng.uniform(*_PANEL_RIM) if with_panel else _CLEARANCE
        is_first = not result.words
        found = self._fit(lines, font, rim, is_first, rng)
        if found is None:
            return
        block, warp, cap_height = found
        outline = _outline(block, warp, rim * block.cap_height)
        shift = layout.place(outline, rng)
        if shift is None:
            return
        warp = warp.moved(*shift)
        if with_panel:
            paint_panel(result.image, outline + shift, rng)
        polygons = [warp.polygon(box) for box in block.boxes]
        left, top, width, height = _window(polygons, _EFFECT_ROOM * cap_height + 2)
        coverage = warp.warp_mask(block.mask, left, top, width, height)
        paint_text(result.image, coverage, left, top, cap_height, rng, settings)
        result.words += block.words
        result.polygons += polygons
        result.characters += [warp.quads(boxes) for boxes in block.characters]
        tops += [float(np.mean(np.concatenate(polygons)[:, 1]))] * len(polygons)
        if keep_layers:
            size = result.image.shape[:2]
            result.layers += [_layer(block, warp, box, size) for box in block.boxes]

    def _draw_lines(self, missing: int, rng: np.random.Generator) -> list[list[str]]:
        settings = self.settings
        case = self.words.draw_case(rng)
        count = rng.integers(settings.lines_per_block[0], settings.lines_per_block[1] + 1)
        lines = []
        for _ in range(count):
            if missing <= 0:
                break
            drawn = rng.integers(settings.words_per_line[0], settings.words_per_line[1] + 1)
            words = min(int(drawn), missing)
            lines.append([self.words.draw(rng, case) for _ in range(words)])
            missing -= words
        return lines

    def _fit(
        self,
        lines: list[list[str]],
        font: Font,
        rim: float,
        any_size: bool,
        rng: np.random.Generator,
    ) -> tuple[TextBlock, Warp, float] | None:
        """Draw size and pose of a block so that it fits into the image.

        Returns:
            The block, its map around the origin and the cap height in the image; None where it
            only fits smaller than the settings allow (unless ``any_size``).
        """
        settings = self.settings
        height = settings.size[0]
        lowest, highest = settings.text_height
        share = rng.random() ** settings.text_height_skew
        cap_height = height * lowest * (highest / lowest) ** share
        arc = 0.0
        if len(lines) == 1 and rng.random() < settings.curved:
            arc = rng.uniform(*settings.curvature) * (1 if rng.random() < 0.65 else -1)
        sizes = np.ones(len(lines))
        if len(lines) > 1 and rng.random() < _MIXED_SIZES:
            smaller = rng.random(len(lines)) < 0.6
            smallest = max(_SMALLER_LINES[0], lowest * height / cap_height)
            sizes[smaller] = rng.uniform(smallest, max(_SMALLER_LINES[1], smallest))
        align = (0.0, 0.5, 0.5, 1.0)[rng.integers(4)]
        spacing = rng.exponential(0.3)
        pose_seed = int(rng.integers(2**32))
        for _ in range(3):
            block = set_block(lines, font, cap_height * sizes, align, spacing)
            warp = draw_warp(
                # The same pose each time: only the size changes.
                np.random.default_rng(pose_seed),
                block.mask.shape,
                block.cap_height,
                cap_height / block.cap_height,
                rotation=settings.rotation,
                perspective=settings.perspective,
                shear=settings.shear,
                stretch=settings.stretch,
                arc=arc,
            )
            extent = np.ptp(_outline(block, warp, rim * block.cap_height), axis=0)
            room = np.array([settings.size[1], settings.size[0]]) - 4.0
            fitting = float((room / extent).min())
            if fitting >= 1:
                return block, warp, cap_height
            cap_height *= fitting * 0.97
            if cap_height < lowest * height and not any_size:
                return None
        return None


def _outline(block: TextBlock, warp: Warp, margin: float) -> np.ndarray:
    """Return the polygon of a block's whole plane with a margin (in units of the plane)."""
    height, width = block.mask.shape
    half = np.array([width / 2 + margin, height / 2 + margin])
    return warp.polygon(np.concatenate([-half, half]))


def _window(polygons: list[np.ndarray], margin: float) -> tuple[int, int, int, int]:
    points = np.concatenate(polygons)
    left, top = np.floor(points.min(axis=0) - margin).astype(int).tolist()
    right, bottom = np.ceil(points.max(axis=0) + margin).astype(int).tolist()
    return left, top, right - left, bottom - top


def _layer(block: TextBlock, warp: Warp, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = block.mask.shape
    x0, y0, x1, y1 = np.round(box + np.array([width, height, width, height]) / 2).astype(int)
    alone = np.zeros_like(block.mask)
    alone[y0:y1, x0:x1] = block.mask[y0:y1, x0:x1]
    return warp.warp_mask(alone, 0, 0, size[1], size[0])


@lru_cache(maxsize=8)
def _renderer_of(preset: str, overrides: tuple[tuple[str, Any], ...]) -> TextRenderer:
    return TextRenderer(resolve_settings(preset, dict(overrides)))


def renderer_of_spec(spec: Mapping[str, Any]) -> TextRenderer:
    """Return the (cached) renderer of a spec, see :func:`render_sample`."""
    overrides = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in spec.get("settings", {}).items()
    }
    return _renderer_of(spec.get("preset", "default"), tuple(sorted(overrides.items())))


def render_sample(spec: Mapping[str, Any]) -> tuple[np.ndarray, TextInstances]:
    """Render the image that a dataset dict's ``"render"`` entry describes.

    Args:
        spec: ``{"preset": name, "settings": {field: value}, "seed": int, "index": int}``;
            ``preset`` is one of :data:`PRESETS` ("default" where absent), ``settings`` replaces
            some of its fields (see :class:`RenderSettings`) and may be absent.

    Returns:
        The (H, W, 3) uint8 RGB image, and its words with their characters, each polygon clockwise
        from the text's top left.
    """
    rendering = renderer_of_spec(spec).render(int(spec["seed"]), int(spec["index"]))
    texts = TextInstances(
        rendering.polygons, words=rendering.words, characters=rendering.characters
    )
    return rendering.image, texts
