"""The rendered corpus: images of words, made on the fly and deterministic by seed and index."""

from . import config
from .renderer import Rendering, TextRenderer, render_sample, renderer_of_spec
from .settings import PRESETS, RenderSettings, resolve_settings
