"""Settings of the rendered corpus and its named presets."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

__all__ = ["PRESETS", "RenderSettings", "resolve_settings"]

#: The kinds of procedural background, see ``backgrounds.py``.
BACKGROUND_KINDS = ("plain", "gradient", "clouds", "stripes", "bricks", "facade", "shapes")


@dataclass(frozen=True)
class RenderSettings:
    """Everything that decides how images are rendered, apart from seed and index.

    Probabilities and shares lie in [0, 1]; lengths called relative are fractions of the image
    height; ranges are (lowest, highest). Every value is a plain number, string or tuple, so that
    settings hash and travel between processes.
    """

    # (height, width) of every image, pixels.
    size: tuple[int, int] = (512, 512)

    # "vocabulary": whole words of the shipped WordPiece vocabulary; "wordfreq": that package's
    # English list; otherwise a text file of one word a line (optionally: a tab, its weight).
    words: str = "vocabulary"
    # The words themselves, most frequent first; replaces ``words`` where not empty.
    word_list: tuple[str, ...] = ()
    # Only this many of the most frequent words are used; 0: all.
    max_words: int = 0
    # Range of the characters of a word, before punctuation.
    word_length: tuple[int, int] = (1, 14)
    # Exponent of Zipf's law over the ranks where a source knows no frequencies; 0: uniform.
    zipf: float = 0.85
    # Share of number-like words (years, prices, times, telephone numbers ...).
    numbers: float = 0.12
    # Share of words that get punctuation around them.
    punctuation: float = 0.06
    # Weights of lower case, Capitalised and UPPER CASE, drawn for each block.
    case: tuple[float, float, float] = (0.3, 0.35, 0.35)

    # Range of the number of words of an image that has words.
    words_per_image: tuple[int, int] = (1, 24)
    # Share of images without any word.
    empty_images: float = 0.01
    # Range of the number of words of a line.
    words_per_line: tuple[int, int] = (1, 3)
    # Range of the number of lines of a block.
    lines_per_block: tuple[int, int] = (1, 3)
    # Relative height of capitals: h = lo * (hi / lo) ** (u ** skew) with u uniform.
    text_height: tuple[float, float] = (0.018, 0.22)
    # Larger: more small text.
    text_height_skew: float = 1.7
    # "placement": annotations line by line, in the order in which blocks were drawn;
    # "reading": blocks sorted from top to bottom.
    order: str = "placement"

    # Where fonts come from: "matplotlib" (always there), "packages" (the pip packages font-*),
    # or folders, searched deeply for .ttf and .otf.
    fonts: tuple[str, ...] = ("matplotlib", "packages")
    # Only fonts whose file name (without suffix) is among these; empty: all.
    font_names: tuple[str, ...] = ()

    # A folder of photographs, searched deeply; "": procedural backgrounds alone.
    backgrounds: str = ""
    # Share of photographs among the backgrounds, where a folder is given.
    photographs: float = 0.9
    # Kinds of procedural background, drawn uniformly.
    background_kinds: tuple[str, ...] = BACKGROUND_KINDS

    # Standard deviation of the rotation of a block, degrees.
    rotation: float = 9.0
    # Largest perspective foreshortening: depth changes by this share towards a block's sides.
    perspective: float = 0.25
    # Largest horizontal shear.
    shear: float = 0.15
    # Range of the horizontal stretch.
    stretch: tuple[float, float] = (0.8, 1.25)
    # Share of one-line blocks with a curved baseline.
    curved: float = 0.12
    # Range of the arc's angle, radians.
    curvature: tuple[float, float] = (0.4, 2.2)

    # Smallest difference of lightness between text and its background, in [0, 1].
    contrast: float = 0.22
    # Share of blocks on a sign of plain colour.
    panel: float = 0.3
    # Share of blocks with an outline.
    outline: float = 0.15
    # Share of blocks with a shadow.
    shadow: float = 0.2
    # Share of blocks with a colour gradient.
    gradient: float = 0.1
    # Share of blocks through which the texture of the background shows.
    texture: float = 0.4
    # Range of the opacity of the text.
    opacity: tuple[float, float] = (0.75, 1.0)

    # Share of images with uneven light.
    lighting: float = 0.5
    # Share of images with shifted colours.
    colour_shift: float = 0.5
    # Share of blurred images.
    blur: float = 0.3
    # Range of the blur's standard deviation, pixels.
    blur_sigma: tuple[float, float] = (0.4, 1.3)
    # Share of images with motion blur.
    motion_blur: float = 0.12
    # Range of its length, pixels.
    motion_length: tuple[int, int] = (3, 7)
    # Share of images with noise.
    noise: float = 0.5
    # Range of its standard deviation, grey levels.
    noise_std: tuple[float, float] = (2.0, 12.0)
    # Share of images with JPEG artefacts.
    jpeg: float = 0.8
    # Range of their quality.
    jpeg_quality: tuple[int, int] = (35, 92)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):
                value = tuple(value)
                object.__setattr__(self, field.name, value)
            if isinstance(field.default, tuple) != isinstance(value, tuple):
                raise ValueError(f"render setting {field.name}: {value!r} has the wrong type")
        self._check()

    def _check(self) -> None:
        shares = (
            "numbers punctuation empty_images photographs curved panel outline shadow gradient "
            "texture lighting colour_shift blur motion_blur noise jpeg contrast"
        )
        for name in shares.split():
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"render setting {name} must lie in [0, 1]: {getattr(self, name)}")
        ranges = (
            "word_length words_per_image words_per_line lines_per_block text_height stretch "
            "curvature opacity blur_sigma motion_length noise_std jpeg_quality"
        )
        for name in ranges.split():
            value = getattr(self, name)
            if len(value) != 2 or not 0 <= value[0] <= value[1]:
                raise ValueError(f"render setting {name} must be (lowest, highest): {value}")
        for name in ("words_per_image", "words_per_line", "lines_per_block", "word_length"):
            if getattr(self, name)[0] < 1:
                raise ValueError(f"render setting {name} must start at 1 or more")
        if len(self.size) != 2 or min(self.size) < 32:
            raise ValueError(f"render setting size must be (height, width) >= 32: {self.size}")
        if self.text_height[0] <= 0 or self.text_height[1] > 0.8:
            raise ValueError(f"render setting text_height must lie in (0, 0.8]: {self.text_height}")
        if len(self.case) != 3 or min(self.case) < 0 or sum(self.case) <= 0:
            raise ValueError(f"render setting case must be three weights: {self.case}")
        if not 0 <= self.perspective < 0.5:
            raise ValueError(f"render setting perspective must lie in [0, 0.5): {self.perspective}")
        if self.curvature[1] >= 3.0:
            raise ValueError("render setting curvature must stay below 3 radians")
        if self.order not in ("placement", "reading"):
            raise ValueError(f"render setting order: 'placement' or 'reading', not {self.order!r}")
        unknown = set(self.background_kinds) - set(BACKGROUND_KINDS)
        if unknown or not self.background_kinds:
            raise ValueError(
                f"render setting background_kinds: unknown {sorted(unknown)}; "
                f"choose from {', '.join(BACKGROUND_KINDS)}"
            )
        if not self.fonts:
            raise ValueError("render setting fonts is empty: name 'matplotlib' or a folder")


# Words of signs, each one piece of the shipped vocabulary.
_SIGN_WORDS = (
    "open exit sale coffee hotel street park bank music school police market taxi bus train "
    "airport museum garden bridge river beach kitchen books menu free stop push north south east "
    "west left right red blue green black white gold city road food fish milk bread water ice tea "
    "club art film news sports radio phone tickets tower castle house office summer winter sunday "
    "king queen doctor"
)

_QUICKSTART = RenderSettings(
    size=(96, 96),
    word_list=tuple(_SIGN_WORDS.split()),
    zipf=0.0,
    numbers=0.0,
    punctuation=0.0,
    case=(0.0, 0.0, 1.0),
    words_per_image=(2, 2),
    empty_images=0.0,
    words_per_line=(1, 1),
    lines_per_block=(1, 1),
    text_height=(0.2, 0.27),
    text_height_skew=1.0,
    order="reading",
    fonts=("matplotlib",),
    font_names=("DejaVuSans", "DejaVuSans-Bold"),
    background_kinds=("plain", "gradient", "clouds"),
    rotation=1.0,
    perspective=0.02,
    shear=0.02,
    stretch=(0.9, 1.1),
    curved=0.0,
    contrast=0.5,
    panel=0.0,
    outline=0.0,
    shadow=0.0,
    gradient=0.0,
    texture=0.0,
    opacity=(0.95, 1.0),
    lighting=0.2,
    colour_shift=0.0,
    blur=0.0,
    motion_blur=0.0,
    noise=0.3,
    noise_std=(2.0, 6.0),
    jpeg=0.0,
)

#: Named settings. ``default``: like scene text, for the pre-training and the detectors.
#: ``quickstart``: two large words of 66, learnt within minutes on two CPU cores.
#: ``quickstart_detection``: more and smaller words for a detector of the same scale.
PRESETS: dict[str, RenderSettings] = {
    "default": RenderSettings(),
    "quickstart": _QUICKSTART,
    "quickstart_detection": RenderSettings(
        size=(256, 256),
        words_per_image=(2, 10),
        empty_images=0.02,
        text_height=(0.045, 0.16),
        text_height_skew=1.2,
        fonts=("matplotlib",),
        curved=0.0,
        rotation=7.0,
        perspective=0.15,
        contrast=0.35,
        opacity=(0.9, 1.0),
        blur=0.15,
        motion_blur=0.0,
        noise_std=(2.0, 8.0),
        jpeg_quality=(50, 92),
    ),
}


def resolve_settings(
    preset: str = "default", overrides: Mapping[str, Any] | None = None
) -> RenderSettings:
    """Return a preset with some settings replaced.

    Args:
        preset: a name of :data:`PRESETS`.
        overrides: field names of :class:`RenderSettings` and values; lists count as tuples.

    Raises:
        ValueError: for an unknown preset or setting, or a value that cannot be.
    """
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r} of rendering: choose from {', '.join(PRESETS)}")
    overrides = dict(overrides or {})
    known = {field.name for field in fields(RenderSettings)}
    unknown = sorted(set(overrides) - known)
    if unknown:
        raise ValueError(
            f"unknown render setting {', '.join(unknown)}: choose from {', '.join(sorted(known))}"
        )
    return replace(PRESETS[preset], **overrides)
